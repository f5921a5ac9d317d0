// One page. The station's state comes by long polling; which screen is shown is the page's own affair.
'use strict';

const texts = JSON.parse(document.getElementById('texts').textContent);
const at = (id) => document.getElementById(id);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const IDLE_MS = 60000;
const SPEECH_GAP_MS = 6000;
let shown = null;
let screen = 'home';

const post = async (path, body = {}) => {
  const answer = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), cache: 'no-store' });
  const type = answer.headers.get('Content-Type') || '';
  if (!type.startsWith('application/json')) throw new Error(`answer ${answer.status}`);
  return answer.json();
};
const message = (id, text = '', tone = '') => { const line = at(id); line.className = `message ${tone}`; line.textContent = text; };
const use = (svg, name) => svg.querySelector('use').setAttribute('href', `#i-${name}`);

// Screens

const go = (name, { focus = true } = {}) => {
  if (screen !== name) {
    document.dispatchEvent(new CustomEvent('leave', { detail: screen }));
    for (const field of all('input[data-only]')) field.value = '';
    for (const line of ['touch-message', 'pin-message', 'pass-message', 'help-message']) message(line);
  }
  screen = name;
  for (const section of all('[data-screen]')) section.hidden = section.dataset.screen !== name;
  document.dispatchEvent(new CustomEvent('enter', { detail: name }));
  if (!focus) return;
  const section = document.querySelector(`[data-screen="${name}"]`);
  const first = all('input[data-only]', section).find((field) => field.offsetParent !== null);
  if (first) Keys.activate(first); else at('main').focus();
};

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-go]');
  if (button) go(button.dataset.go);
});
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') go('home'); });

// A person who goes away leaves nothing behind: no digits, no language

let idle = 0;
const stir = () => {
  clearTimeout(idle);
  idle = setTimeout(() => {
    if (document.body.dataset.busy) { stir(); return; }
    go('home');
    const { language, defaultLanguage } = document.body.dataset;
    const back = document.querySelector(`#languages button[value="${defaultLanguage}"]`);
    if (language !== defaultLanguage && back) back.click();
  }, ['enrol', 'withdraw'].includes(screen) ? 2 * IDLE_MS : IDLE_MS);
};
for (const kind of ['pointerdown', 'keydown']) document.addEventListener(kind, stir);
stir();

// Voice

const voice = at('voice');
const sound = new Audio();
let spoken = '';
let spokenAt = 0;
const speak = (key) => {
  if (!voice || voice.getAttribute('aria-pressed') !== 'true') return;
  if (key === spoken && Date.now() - spokenAt < SPEECH_GAP_MS) return;
  spoken = key;
  spokenAt = Date.now();
  sound.pause();
  sound.src = `/speech.wav?text=${encodeURIComponent(key)}`;
  sound.play().catch(() => {}); // a browser that wants a touch first stays silent until then
};
if (voice) {
  voice.addEventListener('click', () => {
    const on = voice.getAttribute('aria-pressed') !== 'true';
    voice.setAttribute('aria-pressed', String(on));
    voice.title = on ? texts.voice_on : texts.voice_off;
    if (!on) sound.pause();
  });
}

// State

const show = (state) => {
  shown = state;
  const saying = state.prompt && state.door.symbol !== 'fire' ? state.prompt : state.door;
  const say = at('say');
  const line = say.querySelector('p[aria-live]');
  say.className = `say ${saying.tone}`;
  use(say, saying.symbol);
  if (line.textContent !== saying.text) line.textContent = saying.text;
  const sign = at('sign');
  sign.className = `sign ${state.door.tone}`;
  sign.dataset.state = state.door.state || '';
  use(sign, { good: 'open', bad: 'fire', warn: 'door' }[state.door.tone] || 'lock');
  sign.querySelector('span').textContent = state.door.short;
  at('offline').hidden = state.connected;
  at('touch').hidden = !state.touch;
  if (!state.touch) message('touch-message');
  if (state.prompt && screen === 'pass') message('pass-message', state.prompt.text, state.prompt.tone === 'bad' ? '' : 'calm');
  if (state.door.tone === 'good' && (screen === 'pass' || screen === 'pin')) go('home', { focus: false });
  if (state.door.symbol === 'fire' && screen !== 'home') go('home', { focus: false });
  if (saying.tone !== 'calm') speak(saying.key); else spoken = '';
  document.dispatchEvent(new CustomEvent('state', { detail: state }));
};

const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });
const lose = (lost) => { at('lost').hidden = !lost; document.body.classList.toggle('is-lost', lost); };
const watch = async () => {
  let failures = 0;
  for (;;) {
    const stop = new AbortController();
    const limit = setTimeout(() => stop.abort(), 30000);
    try {
      const after = shown && failures === 0 ? shown.version : '';
      const answer = await fetch(`/state?after=${after}`, { cache: 'no-store', signal: stop.signal });
      if (!answer.ok) throw new Error(`answer ${answer.status}`);
      const state = await answer.json();
      failures = 0;
      lose(false);
      show(state);
      if (state.crowded) await wait(1000);
    } catch {
      failures += 1;
      if (failures > 1) lose(true);
      await wait(Math.min(5000, 300 * 2 ** failures));
    } finally {
      clearTimeout(limit);
    }
  }
};

// PIN

let countdown = 0;
const waitOut = (text, seconds) => {
  clearInterval(countdown);
  let left = seconds;
  const tick = () => {
    message('pin-message', left > 0 ? `${text} ${texts.wait.replace('{seconds}', left)}` : '');
    if (left <= 0) clearInterval(countdown);
    left -= 1;
  };
  tick();
  countdown = setInterval(tick, 1000);
};
at('pin-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const number = at('number');
  const pin = at('pin-digits');
  const button = event.target.querySelector('.main');
  if (button.disabled) return;
  clearInterval(countdown);
  if (!/^[0-9]{4,8}$/.test(number.value)) { message('pin-message', texts.number_short); Keys.activate(number); return; }
  if (!/^[0-9]{6}$/.test(pin.value)) { message('pin-message', texts.pin_short); Keys.activate(pin); return; }
  button.disabled = true;
  message('pin-message', texts.checking, 'calm');
  const typed = { number: number.value, pin: pin.value };
  pin.value = '';
  try {
    const answer = await post('/pin', typed);
    if (answer.ok) { go('home', { focus: false }); return; }
    if (answer.wait_s) waitOut(answer.text, answer.wait_s); else message('pin-message', answer.text);
    Keys.activate(pin);
  } catch {
    message('pin-message', texts.failed);
  } finally {
    button.disabled = false;
  }
});
document.addEventListener('leave', () => clearInterval(countdown));

// Touch, while the door is held open by order

at('touch').addEventListener('click', async () => {
  const button = at('touch');
  button.disabled = true;
  try {
    const answer = await post('/touch');
    message('touch-message', answer.ok ? '' : answer.text);
  } catch {
    message('touch-message', texts.touch_failed);
  } finally {
    setTimeout(() => { button.disabled = false; message('touch-message'); }, 3000);
  }
});

// Help

at('call').addEventListener('click', async () => {
  const button = at('call');
  button.disabled = true;
  try {
    const answer = await post('/help');
    message('help-message', answer.text, answer.ok ? 'good' : '');
  } catch {
    message('help-message', texts.help_failed);
  } finally {
    setTimeout(() => { button.disabled = false; }, 3000);
  }
});

watch();
