// On-screen keys that write into the field last touched; a real keyboard writes into it by itself.
'use strict';

const Keys = (() => {
  const ALPHABETS = { digits: '123456789', code: '0123456789ABCDEFGHJKMNPQRSTVWXYZ' };
  const PATTERNS = { digits: /[^0-9]/g, code: /[^0-9A-Za-z]/g };

  const clean = (field) => {
    const kind = field.dataset.only;
    let text = field.value.replace(PATTERNS[kind], '');
    if (kind === 'code') text = text.toUpperCase().slice(0, 12).replace(/(.{4})(?=.)/g, '$1-');
    if (text !== field.value) field.value = text;
  };

  const target = (keys) => {
    const place = keys.closest('[data-step], section');
    const fields = [...place.querySelectorAll('input[data-only]')].filter((field) => field.offsetParent !== null);
    return fields.find((field) => field === document.activeElement) || fields.find((field) => field.classList.contains('active')) || fields[0];
  };

  const press = (keys, key) => {
    const field = target(keys);
    if (!field) return;
    activate(field);
    if (key === 'erase') field.value = field.value.replace(/-?.$/, '');
    else if (field.value.replace(/-/g, '').length < (field.dataset.only === 'code' ? 12 : field.maxLength)) field.value += key;
    clean(field);
    field.dispatchEvent(new Event('input', { bubbles: true }));
    if (key !== 'erase' && field.value.length === field.maxLength && field.dataset.next && field.dataset.next !== 'submit') {
      activate(document.getElementById(field.dataset.next));
    }
  };

  const activate = (field) => {
    for (const other of document.querySelectorAll('input.active')) other.classList.remove('active');
    field.classList.add('active');
    field.focus({ preventScroll: true });
  };

  const build = (keys) => {
    const names = [...ALPHABETS[keys.dataset.keys]];
    if (keys.dataset.keys === 'digits') names.push('', '0', 'erase'); else names.push('erase');
    for (const name of names) {
      if (name === '') { keys.append(document.createElement('span')); continue; }
      const button = document.createElement('button');
      button.type = 'button';
      button.dataset.key = name;
      if (name === 'erase') {
        button.setAttribute('aria-label', keys.dataset.erase);
        button.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#i-erase"/></svg>';
        if (keys.dataset.keys === 'code') button.className = 'row-wide';
      } else button.textContent = name;
      button.addEventListener('pointerdown', (event) => event.preventDefault()); // the field keeps its focus
      button.addEventListener('click', () => press(keys, name));
      keys.append(button);
    }
  };

  document.querySelectorAll('[data-keys]').forEach(build);
  document.addEventListener('input', (event) => { if (event.target.dataset.only) clean(event.target); });
  document.addEventListener('focusin', (event) => { if (event.target.dataset && event.target.dataset.only) activate(event.target); });
  // Enter goes on to the next field; in the last one it sends the form
  document.addEventListener('keydown', (event) => {
    const field = event.target;
    if (event.key !== 'Enter' || !field.dataset || !field.dataset.next || field.dataset.next === 'submit') return;
    event.preventDefault();
    activate(document.getElementById(field.dataset.next));
  });
  return { activate };
})();
