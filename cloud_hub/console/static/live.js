// Keeps an open page true. `/live` says which topics changed; the parts of the page that name such a topic in
// `data-live` are fetched again from `data-src` and swapped. Nothing here decides anything: it only shows what the hub says.

const text = document.body.dataset;
const QUIET_MS = 40_000; // the hub speaks every 15 s; longer silence is a dead link
const REFRESH_MS = 60_000; // a lost message costs at most this long
const GATHER_MS = 120; // changes closer together are fetched once
const HEADERS = { "X-Yizhan-Live": "1" };

const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const sheet = $("#sheet");

// --- swapping parts of the page ------------------------------------------------------------------------------------

const waiting = new Map(); // part -> timer
const fetching = new WeakMap(); // part -> number of its newest request
const shown = new WeakMap(); // part -> markup it was last given
let pressed = false; // a finger is down: what it is about to hit must not be swapped away

function topicsOf(part) {
  return part.dataset.live.split(",");
}

function matches(part, topic) {
  return topicsOf(part).some((own) => own === topic || (own.endsWith("*") && topic.startsWith(own.slice(0, -1))));
}

function refreshSoon(part) {
  if (!waiting.has(part)) {
    waiting.set(part, setTimeout(() => { waiting.delete(part); refresh(part); }, GATHER_MS));
  }
}

function refreshAll() {
  all("[data-live]").forEach(refreshSoon);
}

async function refresh(part) {
  if (!part.isConnected) return;
  const turn = (fetching.get(part) ?? 0) + 1;
  fetching.set(part, turn);
  try {
    const answer = await fetch(part.dataset.src, { headers: HEADERS, redirect: "error" });
    if (answer.status === 401) return signedOut();
    if (!answer.ok || fetching.get(part) !== turn) return;
    swap(part, await answer.text());
  } catch {
    // The stream notices a dead link and says so.
  }
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function swap(part, html) {
  const fresh = parse(html).firstElementChild;
  if (!fresh || fresh.innerHTML === shown.get(part)) return;
  if (pressed) return refreshSoon(part);
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const before = remember(part);
  shown.set(part, fresh.innerHTML);
  part.replaceChildren(...fresh.childNodes);
  part.className = fresh.className;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  announce(part, before);
  tick();
}

for (const [name, down] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]]) {
  addEventListener(name, () => { if (down) pressed = true; else setTimeout(() => { pressed = false; }, 80); }, { capture: true, passive: true });
}

function remember(part) {
  return {
    alerts: new Set(all("[data-alert][data-state=open]", part).map((row) => row.dataset.alert)),
    orders: new Map(all("[data-order]", part).map((row) => [row.dataset.order, row.dataset.state])),
  };
}

function announce(part, before) {
  const news = all("[data-alert][data-state=open]", part).filter((row) => !before.alerts.has(row.dataset.alert));
  const outcome = all(".outcome[data-order]", part).filter((row) => before.orders.get(row.dataset.order) !== row.dataset.state);
  const words = [...outcome.map((row) => $(".outcome-words", row)), ...news.map((row) => $(".row-title", row))];
  if (words.length) $("#announce").textContent = words.map((node) => node.textContent.trim()).join(". ");
  if (outcome.some((row) => row.dataset.final === "true")) navigator.vibrate?.(outcome[0].dataset.state === "OPENED" ? 60 : [60, 80, 60]);
}

// --- the stream ----------------------------------------------------------------------------------------------------

let stream = null;
let retry = null;
let attempts = 0;
let heardAt = Date.now();

function connect() {
  clearTimeout(retry);
  stream?.close();
  if (document.hidden || !text.liveUrl) return;
  const topics = [...new Set(all("[data-live]").flatMap(topicsOf)), "command:*"];
  stream = new EventSource(`${text.liveUrl}?topics=${encodeURIComponent([...new Set(topics)].join(","))}`);
  stream.addEventListener("open", heard);
  stream.addEventListener("ping", heard);
  stream.addEventListener("resync", () => { heard(); refreshAll(); });
  stream.addEventListener("changed", (event) => {
    heard();
    all("[data-live]").filter((part) => matches(part, event.data)).forEach(refreshSoon);
  });
  stream.addEventListener("error", lost);
}

function heard() {
  heardAt = Date.now();
  attempts = 0;
  $("#stale").hidden = true;
  document.body.classList.remove("is-stale");
}

function lost() {
  stream?.close();
  const wait = Math.min(30_000, 1_000 * 2 ** attempts) * (0.5 + Math.random());
  attempts += 1;
  if (attempts > 1) showStale();
  clearTimeout(retry);
  retry = setTimeout(() => { connect(); refreshAll(); }, attempts === 1 ? 300 : wait);
}

function showStale() {
  const bar = $("#stale");
  if (document.body.classList.contains("is-signed-out")) return;
  const since = new Date(heardAt).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  $("span", bar).textContent = text.textStale.replace("{time}", since);
  bar.hidden = false;
  document.body.classList.add("is-stale");
}

function signedOut() {
  stream?.close();
  clearTimeout(retry);
  const bar = $("#stale");
  document.body.classList.add("is-signed-out", "is-stale");
  $("span", bar).textContent = text.textSignedOut;
  const link = $("a", bar);
  link.href = `${text.signInUrl}?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.hidden = false;
  bar.hidden = false;
}

setInterval(() => {
  if (document.hidden || document.body.classList.contains("is-signed-out")) return;
  if (stream?.readyState === EventSource.OPEN && Date.now() - heardAt > QUIET_MS) { showStale(); connect(); }
}, 5_000);
setInterval(() => { if (!document.hidden) refreshAll(); }, REFRESH_MS);
document.addEventListener("visibilitychange", () => { if (document.hidden) { clearTimeout(retry); stream?.close(); } else { connect(); refreshAll(); } });
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted) { connect(); refreshAll(); } });
addEventListener("online", connect);
addEventListener("offline", showStale);

// --- ages ----------------------------------------------------------------------------------------------------------

function tick() {
  const now = Date.now();
  for (const node of all("time.ago")) {
    const s = Math.max(0, Math.floor((now - Date.parse(node.dateTime)) / 1000));
    const [words, n] = s < 60 ? [text.textSeconds, s] : s < 3600 ? [text.textMinutes, Math.floor(s / 60)] : s < 86400 ? [text.textHours, Math.floor(s / 3600)] : [text.textDays, Math.floor(s / 86400)];
    const shown = words.replace("{n}", n);
    if (node.textContent !== shown) node.textContent = shown;
  }
}
setInterval(tick, 1_000);

// --- the sheet: unlock form and an order's story over the page ---------------------------------------------------------

let opener = ""; // what opened the sheet; it may have been swapped for its twin meanwhile

async function ask(url, options = {}) {
  const answer = await fetch(url, { ...options, headers: HEADERS, redirect: "error" });
  if (answer.status === 401) { signedOut(); throw new Error("signed out"); }
  return answer;
}

async function fillSheet(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (!type.startsWith("text/html")) throw new Error(`answer ${answer.status}`);
  const body = $(".sheet-body", sheet);
  body.replaceChildren(parse(await answer.text()));
  if (!sheet.open) sheet.showModal();
  $("[autofocus], .outcome, input[type=password], .button.primary", body)?.focus();
  const outcome = $(".outcome-words", body);
  if (outcome) $("#announce").textContent = outcome.textContent;
  all("[data-live]", body).forEach(refreshSoon);
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-sheet]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  opener = link.id;
  try {
    await fillSheet(await ask(link.href));
  } catch {
    if (!document.body.classList.contains("is-signed-out")) location.assign(link.href);
  }
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const opens = form.matches("[data-sheet-opens]"); // one tap: the order goes out at once, its story comes over the page
  const inSheet = opens || (form.matches("[data-sheet-form]") && sheet.contains(form));
  if (!inSheet && !form.matches("[data-quiet]")) return;
  event.preventDefault();
  const buttons = all("button", form);
  const body = new FormData(form, event.submitter);
  if (opens) opener = event.submitter?.id ?? "";
  buttons.forEach((button) => { button.disabled = true; });
  form.classList.add("busy");
  try {
    const answer = await ask(form.action, { method: "POST", body });
    if (inSheet) await fillSheet(answer);
    else if (!answer.ok) throw new Error(`answer ${answer.status}`);
    refreshAll();
  } catch {
    const note = document.createElement("p");
    note.className = "notice bad";
    note.role = "alert";
    note.textContent = text.textFailed;
    $(".notice", form)?.remove();
    form.prepend(note);
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
    form.classList.remove("busy");
  }
});

document.addEventListener("keydown", (event) => {
  const button = event.target.closest?.("a[role=button]");
  if (button && event.key === " ") { event.preventDefault(); button.click(); }
});

sheet.addEventListener("click", (event) => {
  if (event.target === sheet || event.target.closest("[data-close]")) sheet.close();
});
sheet.addEventListener("close", () => {
  $(".sheet-body", sheet).replaceChildren();
  if (opener) document.getElementById(opener)?.focus({ preventScroll: true });
});

document.addEventListener("click", (event) => {
  for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// --- filters apply themselves --------------------------------------------------------------------------------------

document.body.classList.add("scripted");
document.addEventListener("change", (event) => event.target.closest(".filters select")?.form.requestSubmit());

connect();
