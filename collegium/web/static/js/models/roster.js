// The experts of the pool and the virtual models, as `/v1/models` lists them.

const GOLDEN_ANGLE = 137.508
const FIRST_HUE = 205

export class Roster extends EventTarget {
  #api
  experts = []
  virtual = [{ name: "auto", description: "The router chooses" }]

  constructor(api) {
    super()
    this.#api = api
  }

  async load() {
    const models = (await this.#api.models()).map(entry)
    this.virtual = models.filter(model => model.virtual && model.name !== "collegium/auto")
    this.experts = withHues(models.filter(model => !model.virtual && model.enabled))
    this.dispatchEvent(new Event("change"))
  }

  find(name) {
    return this.experts.find(expert => expert.name === name) ?? { name: plain(name), description: "", hue: null }
  }

  // Whether an expert takes images, or one of those that a virtual model chooses among: yes, no or unknown.
  takesImages(name) {
    const named = this.experts.filter(expert => expert.name === name)
    const answers = (named.length > 0 ? named : this.experts).map(({ images }) => images)
    if (answers.includes(true)) return "yes"
    return answers.length === 0 || answers.includes(null) ? "unknown" : "no"
  }

  isPanel(name) {
    return this.virtual.some(model => model.name === name && model.panel)
  }
}

function entry({ id, collegium = {} }) {
  return {
    name: id,
    virtual: collegium.virtual ?? false,
    enabled: collegium.enabled ?? true,
    panel: Boolean(collegium.aggregate),
    generalist: collegium.generalist ?? false,
    description: collegium.description ?? "",
    images: imagesIn(collegium),
  }
}

// What was found of an expert; null where nobody tried.
function imagesIn({ capabilities }) {
  if (typeof capabilities?.images === "boolean") return capabilities.images
  const inputs = capabilities?.modalities?.input
  return Array.isArray(inputs) ? inputs.includes("image") : null
}

function plain(name) {
  return name?.replace("collegium/", "") ?? ""
}

// Colour means speciality: the generalist stays grey.
function withHues(experts) {
  const specialists = experts.filter(expert => !expert.generalist)
  return experts.map(expert => ({
    ...expert,
    hue: expert.generalist ? null : (FIRST_HUE + specialists.indexOf(expert) * GOLDEN_ANGLE) % 360,
  }))
}
