"use strict";

const texts = JSON.parse(document.getElementById("texts").textContent);
const say = (text) => texts[text] ?? text;
const STATE_EVERY_MS = 700, FRAME_EVERY_MS = 450, SCAN_EVERY_MS = 250, SCAN_FOR_MS = 6000, PHOTO_SIDE_PX = 640;
const DOORS = {
  locked: "locked", unlocked: "unlocked", exiting: "on its way out", grace: "locked", open: "open",
  prealarm: "open too long: warning", held_open: "held open", forced: "forced",
  fire_closed: "fire, door closed", fire_open: "fire, door open", fire_unsensed: "contact not trusted",
  unsensed: "contact not trusted", unsensed_unlocked: "contact not trusted",
};
const PROMPTS = {
  unknown_face: "Not known here", ambiguous_face: "Not sure who this is", several_faces: "One person at a time, please",
  too_small: "Please come closer", not_frontal: "Please look at the camera", too_dark: "Too dark",
  too_bright: "Too bright", blurred: "Please hold still",
};
const POWER = { cut: "no power", dark: "dark, back soon", elsewhere: "run by somebody else", on: "starting" };

async function post(card, path, body, headers = {}) {
  const answer = await fetch(`/stations/${card.dataset.station}/${path}`, { method: "POST", body, headers });
  const told = await answer.json();
  if (!told.ok) throw new Error(told.error);
  return told;
}

const act = (card, action, value = null) =>
  post(card, "act", JSON.stringify({ action, value }), { "Content-Type": "application/json" });

const part = (card, role) => card.querySelector(`[data-role="${role}"]`);

function tell(card, text, bad = false) {
  const line = part(card, "message");
  line.textContent = text;
  line.classList.toggle("bad", bad);
}

async function attempt(card, work, done = "Done.") {
  try {
    await work();
    tell(card, say(done));
  } catch (error) {
    tell(card, error.message, true);
  }
  await refresh();
}

function presence(station) {
  if (station.there && station.connected) return ["online", "good"];
  if (station.there) return ["no network", "bad"];
  return [POWER[station.power], station.power === "cut" || station.power === "dark" ? "bad" : ""];
}

function draw(card, station) {
  const [word, mood] = presence(station);
  const pill = part(card, "presence");
  pill.textContent = say(word);
  pill.className = `pill ${mood}`;
  card.classList.toggle("gone", !station.there);
  card.dataset.there = station.there ? "1" : "";
  const door = card.dataset.door, levels = station.levels ?? {};
  const open = Boolean(levels[`contact:${door}`]);
  for (const lamp of card.querySelectorAll("[data-lamp]")) {
    lamp.classList.toggle("on", Boolean(levels[lamp.dataset.lamp]));
  }
  card.classList.toggle("sounding", Boolean(levels.siren));
  part(card, "doorway").classList.toggle("open", open);
  part(card, "doorway").classList.toggle("released", Boolean(levels[`relay:${door}`]));
  const state = (station.doors ?? {})[door];
  part(card, "door-state").textContent = state ? say(DOORS[state] ?? state) : "–";
  const prompt = (station.prompts ?? {})[door];
  part(card, "prompt").textContent = prompt ? say(PROMPTS[prompt] ?? prompt) : "";
  const pull = part(card, "pull");
  const forcing = state === "locked" || state === undefined;
  pull.textContent = forcing ? pull.dataset.forced : pull.dataset.held;
  pull.classList.toggle("danger", forcing);
  pull.disabled = open;
  const on = { power: station.power === "on" || station.power === "elsewhere", network: !station.cut_off,
    mains: "mains" in levels ? Boolean(levels.mains) : null, fire: Boolean(levels.fire), tamper: Boolean(levels.tamper) };
  for (const toggle of card.querySelectorAll("[data-switch]")) {
    const value = on[toggle.dataset.switch];
    if (value !== null) toggle.setAttribute("aria-checked", String(value));
  }
}

let lost = 0;
async function refresh() {
  try {
    const answer = await fetch("/state");
    for (const station of await answer.json()) draw(document.querySelector(`[data-station="${station.id}"]`), station);
    lost = 0;
  } catch {
    lost += 1;
  }
  const banner = document.getElementById("lost");
  banner.hidden = lost < 3;
  banner.textContent = say("The demo has ended.");
}

async function look(card) {
  if (!card.dataset.there) return;
  const answer = await fetch(`/stations/${card.dataset.station}/frame.jpg`);
  if (!answer.ok) return;
  const image = part(card, "frame"), old = image.src;
  image.src = URL.createObjectURL(await answer.blob());
  await image.decode().catch(() => undefined);
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

async function every(milliseconds, work) {
  for (;;) {
    if (!document.hidden) await work().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }
}

function snapshot(video) {
  const scale = Math.min(1, PHOTO_SIDE_PX / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

function ownFace(card) {
  const button = (name) => card.querySelector(`[data-own="${name}"]`);
  const video = part(card, "own-video"), consent = part(card, "consent");
  const stop = () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
    video.hidden = true;
    button("enrol").disabled = button("scan").disabled = true;
  };
  consent.addEventListener("change", () => {
    button("start").disabled = !consent.checked;
    if (!consent.checked) stop();
  });
  button("start").addEventListener("click", async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
      video.hidden = false;
      await video.play();
      button("enrol").disabled = button("scan").disabled = false;
    } catch {
      tell(card, say("The camera of this browser cannot be used."), true);
    }
  });
  button("enrol").addEventListener("click", () => attempt(card, async () => {
    await post(card, "enrol", await snapshot(video), { "X-Consent": consent.checked ? "given" : "" });
  }, "You are enrolled. Now scan your face."));
  button("scan").addEventListener("click", () => attempt(card, async () => {
    const until = Date.now() + SCAN_FOR_MS;
    while (Date.now() < until && video.srcObject) {
      await post(card, "photo?live=1", await snapshot(video));
      await new Promise((resolve) => setTimeout(resolve, SCAN_EVERY_MS));
    }
    await act(card, "clear");
  }));
  button("erase").addEventListener("click", () => {
    stop();
    consent.checked = false;
    button("start").disabled = true;
    return attempt(card, () => act(card, "forget"), "Your face has been erased from this station.");
  });
}

for (const card of document.querySelectorAll("[data-station]")) {
  for (const button of card.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => attempt(card, () => act(card, button.dataset.act)));
  }
  for (const toggle of card.querySelectorAll("[data-switch]")) {
    toggle.addEventListener("click", () =>
      attempt(card, () => act(card, toggle.dataset.switch, toggle.getAttribute("aria-checked") !== "true")));
  }
  const heat = part(card, "temperature");
  heat.addEventListener("input", () => { part(card, "temperature-shown").textContent = `${heat.value} °C`; });
  heat.addEventListener("change", () => attempt(card, () => act(card, "temperature", Number(heat.value))));
  const photo = part(card, "photo");
  photo.addEventListener("change", () => attempt(card, async () => {
    const [file] = photo.files;
    photo.value = "";
    if (file) await post(card, "photo", file);
  }));
  ownFace(card);
  every(FRAME_EVERY_MS, () => look(card));
}
every(STATE_EVERY_MS, refresh);
