// A panel at work: who sits where, what each says, who was dropped, whose answer was taken.

export class Panel {
  seats = []
  chosen = null

  static from({ seats, chosen }) {
    const panel = new Panel()
    panel.seats = seats.map(seat => Object.assign(new Seat(seat.number), seat))
    panel.chosen = chosen
    return panel
  }

  receive(told) {
    if (!told.event) return this.#close(told)
    if (told.event === "chosen") this.chosen = told
    const seat = this.#seat(told.seat)
    seat[told.event]?.(told)
  }

  find(number) {
    return this.seats.find(seat => seat.number === number)
  }

  votesFor(seat) {
    const group = this.chosen?.groups.find(({ seats }) => seats.includes(seat.number))
    return group?.seats.length ?? 0
  }

  #seat(number) {
    if (!this.find(number)) this.seats.push(new Seat(number))
    return this.find(number)
  }

  #close({ calls, chosen }) {
    this.chosen = chosen ?? this.chosen
    for (const call of calls) Object.assign(this.#seat(call.seat), { call })
  }
}

class Seat {
  expert = ""
  role = "member"
  state = "asked"
  text = ""
  reason = ""
  call = null

  constructor(number) {
    this.number = number
  }

  started({ expert, role }) {
    Object.assign(this, { expert, role })
  }

  said({ text }) {
    this.state = "speaking"
    this.text += text
  }

  replied({ text }) {
    this.state = "done"
    this.text = text
  }

  dropped({ reason }) {
    this.state = "dropped"
    this.reason = reason
  }
}
