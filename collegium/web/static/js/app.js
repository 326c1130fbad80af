// Wire the page: models below, views above, and what one tells the other.

import { Api } from "/static/js/api/api.js"
import { ApiError } from "/static/js/api/api_error.js"
import { KeyRing } from "/static/js/api/key_ring.js"
import { Alarms } from "/static/js/models/alarms.js"
import { Asker } from "/static/js/models/asker.js"
import { Conversation } from "/static/js/models/conversation.js"
import { Pool } from "/static/js/models/pool.js"
import { Roster } from "/static/js/models/roster.js"
import { AlarmsBanner } from "/static/js/views/alarms_banner.js"
import { Announcer } from "/static/js/views/announcer.js"
import { Composer } from "/static/js/views/composer.js"
import { ConversationView } from "/static/js/views/conversation_view.js"
import { Hemicycle } from "/static/js/views/hemicycle.js"
import { KeyPrompt } from "/static/js/views/key_prompt.js"
import { ModelChoice } from "/static/js/views/model_choice.js"
import { PoolStatus } from "/static/js/views/pool_status.js"
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

const page = {
  api, pool, roster, announcer,
  ask: (exchange, model) => asker.ask(exchange, model),
  retry: (exchange, answer) => {
    composer.focus()
    asker.retry(exchange, answer)
  },
}

new ThemeToggle($("theme"))
new AlarmsBanner($("alarms"), alarms)
new PoolStatus($("pool"), { pool, roster })
new ConversationView({ element: $("conversation"), welcome: $("welcome"), conversation, page })
const choice = new ModelChoice($("model"), roster)
const composer = new Composer({ form: $("composer"), asker, submit: ask })
new Hemicycle($("hemicycle"), roster)
new Welcome({ list: $("examples"), text: $("welcome-text"), roster, ask, choose })

$("new-conversation").addEventListener("click", startAnew)
asker.addEventListener("end", ({ detail }) => {
  announcer.say(spoken(detail))
  if (roster.experts.length === 0) meetExperts()
})
pool.addEventListener("change", () => { if (pool.state === "ready") meetExperts() })

pool.watch()
alarms.watch()
meetExperts()

function ask(question) {
  composer.focus()
  asker.ask(conversation.open(question), choice.model)
}

function choose(name) {
  choice.choose(name)
  composer.focus()
}

function startAnew() {
  asker.stop()
  conversation.clear()
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
