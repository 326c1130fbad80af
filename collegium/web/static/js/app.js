// Wire the page: models below, views above, and what one tells the other.

import { Api } from "/static/js/api/api.js"
import { ApiError } from "/static/js/api/api_error.js"
import { KeyRing } from "/static/js/api/key_ring.js"
import { attachmentFrom } from "/static/js/media/attached_file.js"
import { Alarms } from "/static/js/models/alarms.js"
import { Asker } from "/static/js/models/asker.js"
import { Conversation } from "/static/js/models/conversation.js"
import { Draft } from "/static/js/models/draft.js"
import { Pool } from "/static/js/models/pool.js"
import { Roster } from "/static/js/models/roster.js"
import { AlarmsBanner } from "/static/js/views/alarms_banner.js"
import { Announcer } from "/static/js/views/announcer.js"
import { AttachmentTray } from "/static/js/views/attachment_tray.js"
import { Composer } from "/static/js/views/composer.js"
import { ConversationView } from "/static/js/views/conversation_view.js"
import { FileSources } from "/static/js/views/file_sources.js"
import { Hemicycle } from "/static/js/views/hemicycle.js"
import { KeyPrompt } from "/static/js/views/key_prompt.js"
import { ModelChoice } from "/static/js/views/model_choice.js"
import { PoolStatus } from "/static/js/views/pool_status.js"
import { Shelf } from "/static/js/views/shelf.js"
import { ThemeToggle } from "/static/js/views/theme_toggle.js"
import { Welcome } from "/static/js/views/welcome.js"

const $ = id => document.getElementById(id)

const keyPrompt = new KeyPrompt($("key-prompt"))
const api = new Api(new KeyRing(question => keyPrompt.ask(question)))
const roster = new Roster(api)
const pool = new Pool(api)
const alarms = new Alarms(api)
const conversation = new Conversation()
const asker = new Asker({ api, pool, roster, conversation })
const announcer = new Announcer($("announcer"))
const draft = new Draft(attachmentFrom)

const page = {
  api, pool, roster, announcer,
  ask: (exchange, model) => asker.ask(exchange, model),
  retry: (exchange, answer) => {
    composer.focus()
    asker.retry(exchange, answer)
  },
  edit: async (exchange, question) => {
    await shelf.branch(exchange)
    ask(question, exchange.attachments)
  },
}

new ThemeToggle($("theme"))
new AlarmsBanner($("alarms"), alarms)
new PoolStatus($("pool"), { pool, roster })
new ConversationView({ element: $("conversation"), welcome: $("welcome"), conversation, page })
const choice = new ModelChoice($("model"), roster)
const takesImages = () => roster.takesImages(choice.model)
const composer = new Composer({ form: $("composer"), asker, draft, submit: ask })
const tray = new AttachmentTray($("tray"), { draft, takesImages, announcer })
new FileSources({ form: $("composer"), add: files => draft.add(files, { images: takesImages() }) })
new Hemicycle($("hemicycle"), roster)
new Welcome({ list: $("examples"), text: $("welcome-text"), roster, ask, choose })
const shelf = new Shelf({ $, conversation, asker, announcer })

$("model").addEventListener("change", () => tray.show())
roster.addEventListener("change", () => tray.show())
$("new-conversation").addEventListener("click", startAnew)
asker.addEventListener("end", ({ detail }) => {
  announcer.say(spoken(detail))
  if (roster.experts.length === 0) meetExperts()
})
pool.addEventListener("change", () => { if (pool.state === "ready") meetExperts() })

pool.watch()
alarms.watch()
meetExperts()
shelf.unpack()

function ask(question, attachments = []) {
  composer.focus()
  asker.ask(conversation.open(question, attachments), choice.model)
}

function choose(name) {
  choice.choose(name)
  composer.focus()
}

async function startAnew() {
  await shelf.startAnew()
  announcer.say("New conversation.")
  composer.focus()
  meetExperts()
}

// While the service starts or can't be reached, the pool's watch asks again.
async function meetExperts() {
  try {
    await roster.load()
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
  }
}

function spoken({ state, expert, text, error }) {
  if (state === "failed") return `No answer. ${error.message}`
  return state === "stopped" ? "Stopped." : `${expert ?? "The expert"}: ${text}`
}
