// Light, dark, or as the system has it.
import {setIcon} from './dom.js';

const KEY = 'corbel.theme';
const NEXT = {system: 'light', light: 'dark', dark: 'system'};

const chosen = () => localStorage.getItem(KEY) ?? 'system';

function apply(button) {
  const theme = chosen();
  document.documentElement.dataset.theme = theme;
  const dark = theme === 'dark' || (theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
  setIcon(button, dark ? 'moon' : 'sun');
  button.title = `Colours: ${theme}`;
  button.setAttribute('aria-label', `Colours: ${theme}. Change to ${NEXT[theme]}`);
}

export function turnTheme(button) {
  localStorage.setItem(KEY, NEXT[chosen()]);
  apply(button);
}

export function startTheme(button) {
  button.addEventListener('click', () => turnTheme(button));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => apply(button));
  apply(button);
}
