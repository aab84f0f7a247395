// The panel on the right and its tabs; on narrow screens both sides are drawers.
import {byId} from './dom.js';

const PANES = ['settings', 'live', 'card'];
const KEY = 'corbel.panel';
const narrow = matchMedia('(max-width: 1080px)');

export class Panels {
  constructor() {
    this.onShow = () => {};
    this.pane = 'settings';
    byId('panel-open').addEventListener('click', () => this.toggle());
    byId('panel-close').addEventListener('click', () => this.toggle(false));
    byId('sidebar-open').addEventListener('click', () => this.showSidebar(true));
    byId('sidebar-close').addEventListener('click', () => this.showSidebar(false));
    byId('shade').addEventListener('click', () => this.closeDrawers());
    for (const name of PANES) {
      const tab = byId(`tab-${name}`);
      tab.addEventListener('click', () => this.show(name));
      tab.addEventListener('keydown', (event) => this.key(event, name));
    }
    narrow.addEventListener('change', () => this.toggle(!narrow.matches));
  }

  start() {
    const kept = localStorage.getItem(KEY) ?? 'settings';
    this.pane = PANES.includes(kept) ? kept : 'settings';
    this.toggle(!narrow.matches && kept !== 'closed');
  }

  get open() { return document.body.classList.contains('panel-shown'); }

  toggle(open = !this.open) {
    document.body.classList.toggle('panel-shown', open);
    byId('panel-open').setAttribute('aria-expanded', String(open));
    if (!narrow.matches) localStorage.setItem(KEY, open ? this.pane : 'closed');
    this.show(this.pane);
    this.shade();
  }

  show(pane) {
    this.pane = pane;
    for (const name of PANES) {
      byId(`pane-${name}`).hidden = name !== pane;
      byId(`tab-${name}`).setAttribute('aria-selected', String(name === pane));
      byId(`tab-${name}`).tabIndex = name === pane ? 0 : -1;
    }
    if (this.open && !narrow.matches) localStorage.setItem(KEY, pane);
    this.onShow(this.open ? pane : null);
  }

  /** Opens the panel at a tab. */
  goTo(pane) {
    this.pane = pane;
    this.toggle(true);
    byId(`tab-${pane}`).focus();
  }

  key(event, name) {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const next = PANES[(PANES.indexOf(name) + step + PANES.length) % PANES.length];
    this.show(next);
    byId(`tab-${next}`).focus();
    event.preventDefault();
  }

  showSidebar(shown) {
    document.body.classList.toggle('sidebar-shown', shown);
    this.shade();
    if (shown) byId('search').focus();
  }

  /** True when there was one. */
  closeDrawers() {
    const had = narrow.matches && (this.open || document.body.classList.contains('sidebar-shown'));
    document.body.classList.remove('sidebar-shown');
    if (narrow.matches) this.toggle(false);
    return had;
  }

  shade() {
    byId('shade').hidden = !(narrow.matches && (this.open || document.body.classList.contains('sidebar-shown')));
  }
}
