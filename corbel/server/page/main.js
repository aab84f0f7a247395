// Puts the page together: who is asked, what is shown where, which keys do what.
import {getJson} from './api.js';
import {byId, placeIcons} from './dom.js';
import {Chat} from './chat.js';
import {Composer} from './composer.js';
import {ConversationList} from './conversation_list.js';
import {Keys} from './keys.js';
import {LivePanel} from './live.js';
import {ModelCard} from './card.js';
import {Panels} from './panels.js';
import {Server} from './server.js';
import {Settings} from './settings.js';
import {startTheme, turnTheme} from './theme.js';

placeIcons();
startTheme(byId('theme'));

const server = new Server();
const settings = new Settings(byId('pane-settings'));
const panels = new Panels();
const chat = new Chat({messages: byId('messages'), scroll: byId('scroll'), toEnd: byId('to-end'), server, settings});
const list = new ConversationList(byId('conversations'), byId('search'), chat);
const composer = new Composer(chat, server);
const live = new LivePanel(byId('pane-live'), server);
const card = new ModelCard(byId('pane-card'), server);

byId('new-chat').addEventListener('click', () => {
  chat.startNew();
  panels.closeDrawers();
  composer.focus();
});

new Keys({chat, composer, list, panels, settings, turnTheme: () => turnTheme(byId('theme'))});
panels.onShow = (pane) => {
  live.setVisible(pane === 'live');
  if (pane === 'card') card.show();
};
panels.start();
for (const event of ['state', 'model']) {
  server.addEventListener(event, async () => {
    if (!server.ready) return;
    const status = await getJson('v1/status').catch(() => null);
    settings.showDefaults(status?.models.find((one) => one.id === server.model)?.card?.defaults);
  });
}
list.openNewest();
composer.focus();
server.start();
