// Registration and deletion. The session lives in the station; here only its nonce, and which step of it is on the screen.
'use strict';

const Sessions = (() => {
  const inside = (section, selector) => [...section.querySelectorAll(selector)];
  const flows = {};
  let current = null;

  const step = (flow, name) => {
    if (flow.step === name) return;
    flow.step = name;
    for (const part of inside(flow.section, '[data-step]')) part.hidden = part.dataset.step !== name;
    const part = flow.section.querySelector(`[data-step="${name}"]`);
    for (const field of inside(part, 'input[data-only]')) field.value = '';
    for (const tick of inside(part, 'input[type=checkbox]')) { tick.checked = false; tick.dispatchEvent(new Event('change')); }
    if (name === 'pin') unfold(false);
    for (const line of inside(part, '.message')) line.textContent = '';
    const first = part.querySelector('input[data-only], [data-step-focus], .scroll');
    if (first && first.matches('input')) Keys.activate(first);
    else { const heading = part.querySelector('h2'); heading.tabIndex = -1; heading.focus({ preventScroll: true }); }
    document.body.dataset.busy = ['capture', 'saving', 'checking_code'].includes(name) ? name : '';
  };

  // the second PIN takes the place of the first on the screen, so that nothing has to be scrolled
  const unfold = (open) => {
    at('second').setAttribute('aria-expanded', String(open));
    at('second-part').hidden = !open;
    document.querySelector('.first-pin').hidden = open;
    Keys.activate(at(open ? 'second-pin' : 'new-pin'));
  };

  const tell = (flow, text) => {
    const line = flow.section.querySelector('[data-step]:not([hidden]) .message');
    if (line) line.textContent = text;
  };

  const begin = async (flow, path, body) => {
    try {
      const answer = await post(path, body);
      if (!answer.ok) { tell(flow, answer.text); return; }
      flow.session = answer.session;
      flow.choosing = false;
      if (shown) follow(shown.enrol);
    } catch {
      tell(flow, texts.failed);
    }
  };

  const say = async (flow, name, body) => {
    try { await post(`/enrol/answer/${name}`, { session: flow.session, ...body }); } catch { tell(flow, texts.failed); }
  };

  const leave = (flow) => {
    if (flow.session) {
      const session = flow.session;
      const path = flow.choosing ? '/pin/leave' : '/enrol/answer/cancel';
      post(path, { session }).catch(() => {});
    }
    flow.session = '';
    flow.choosing = false;
    document.body.dataset.busy = '';
    go('home');
  };

  const choosePin = async (flow) => {
    if (flow.choosing) return; // a second tap
    flow.choosing = true; // before the answer: the session's end may be heard of first
    try {
      const answer = await post('/pin/begin', { session: flow.session });
      if (!answer.ok) { leave(flow); return; }
      flow.number = answer.number || '';
      const line = at('own-number');
      line.textContent = flow.number ? line.dataset.text.replace('{number}', flow.number) : line.dataset.none;
      step(flow, 'pin');
    } catch {
      flow.choosing = false;
      tell(flow, texts.failed);
    }
  };

  const keepPin = async (flow) => {
    const [first, second, silent] = ['new-pin', 'same-pin', 'second-pin'].map((id) => at(id));
    if (!/^[0-9]{6}$/.test(first.value)) { unfold(false); tell(flow, texts.pin_short); Keys.activate(first); return; }
    if (silent.value && !/^[0-9]{6}$/.test(silent.value)) { unfold(true); tell(flow, texts.pin_short); return; }
    if (first.value !== second.value) { unfold(false); tell(flow, texts.pins_differ); second.value = ''; Keys.activate(second); return; }
    const body = { session: flow.session, pin: first.value, duress: silent.value };
    tell(flow, texts.checking);
    try {
      const answer = await post('/pin/choose', body);
      if (!answer.ok) { tell(flow, answer.text); Keys.activate(first); return; }
      const line = at('kept-number');
      line.textContent = flow.number ? line.dataset.text.replace('{number}', flow.number) : '';
      flow.session = '';
      flow.choosing = false;
      step(flow, 'pin_kept');
    } catch {
      tell(flow, texts.failed);
    }
  };

  const capture = (flow, now) => {
    const part = flow.section.querySelector('[data-step="capture"]');
    const line = part.querySelector('[data-prompt]');
    const text = now.prompt ? now.prompt.text : line.dataset.start;
    if (line.textContent !== text) line.textContent = text;
    use(part.querySelector('[data-picture]'), now.prompt ? now.prompt.symbol : 'face');
    part.querySelector('progress').max = Math.max(1, now.wanted);
    part.querySelector('progress').value = now.progress;
    part.querySelector('[data-progress]').textContent = texts.progress.replace('{count}', now.progress).replace('{wanted}', now.wanted);
    if (now.prompt && now.prompt.key) speak(now.prompt.key);
  };

  const follow = (now) => {
    const flow = current;
    if (!flow || !flow.session || flow.choosing) return;
    if (now.session !== flow.session) {
      // it ended by itself: nobody answered in time
      if (shown && flow.seen) { flow.session = ''; flow.seen = false; go('home'); }
      return;
    }
    flow.seen = true;
    step(flow, now.stage);
    if (now.stage === 'capture') capture(flow, now);
    if (now.stage === 'refused') flow.section.querySelector('[data-reason]').textContent = now.reason || '';
    if (now.stage === 'done') {
      const list = flow.section.querySelector('.receipt');
      list.replaceChildren(...now.receipt.flatMap(([name, value]) => {
        const term = document.createElement('dt');
        const what = document.createElement('dd');
        term.textContent = name;
        what.textContent = value;
        return [term, what];
      }));
    }
  };

  const wire = (name, start) => {
    const section = document.querySelector(`[data-screen="${name}"]`);
    if (!section) return;
    const flow = flows[name] = { section, start, step: '', session: '', choosing: false, number: '', seen: false };
    for (const form of inside(section, 'form[data-begin]')) {
      form.addEventListener('submit', (event) => {
        event.preventDefault();
        const body = Object.fromEntries(inside(form, 'input[name]').map((field) => [field.name, field.value]));
        begin(flow, form.dataset.begin, body);
      });
    }
    section.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (!button) return;
      const given = button.dataset;
      if ('leave' in given) leave(flow);
      else if (given.beginNow) begin(flow, given.beginNow, {});
      else if (given.stepTo) step(flow, given.stepTo);
      else if ('choosePin' in given) choosePin(flow);
      else if (given.say === 'replication') say(flow, 'replication', { yes: 'yes' in given });
      else if (given.say === 'age') say(flow, 'age', { fourteen: 'yes' in given });
      else if (given.say) say(flow, given.say, { notice: Number(document.body.dataset.notice) });
    });
  };

  wire('enrol', 'code');
  wire('withdraw', 'choose');
  for (const tick of document.querySelectorAll('input[type=checkbox][id]')) {
    const button = document.querySelector(`[data-needs="${tick.id}"]`);
    tick.addEventListener('change', () => { button.disabled = !tick.checked; });
  }
  const second = document.getElementById('second');
  second.addEventListener('click', () => unfold(second.getAttribute('aria-expanded') !== 'true'));
  const chosen = document.getElementById('choose-form');
  if (chosen) chosen.addEventListener('submit', (event) => { event.preventDefault(); keepPin(flows.enrol); });

  document.addEventListener('enter', (event) => {
    current = flows[event.detail] || null;
    if (current && !current.session) { current.step = ''; current.seen = false; step(current, current.start); }
  });
  document.addEventListener('leave', (event) => {
    const flow = flows[event.detail];
    if (flow && flow.session) leaveQuietly(flow);
  });
  const leaveQuietly = (flow) => {
    const path = flow.choosing ? '/pin/leave' : '/enrol/answer/cancel';
    post(path, { session: flow.session }).catch(() => {});
    flow.session = '';
    flow.choosing = false;
    document.body.dataset.busy = '';
  };
  document.addEventListener('state', (event) => follow(event.detail.enrol));
})();
