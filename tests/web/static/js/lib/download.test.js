import { FakeDownload } from "../../downloads.mjs"
import assert from "node:assert/strict"
import { test } from "node:test"

import { withoutWaiting } from "../../clock.mjs"
import { download } from "/static/js/lib/download.js"

test("a file is handed over once, and its address is given back", async () => {
  const fake = new FakeDownload()
  await withoutWaiting(async () => {
    download("a.md", "# a", "text/markdown")
    await new Promise(resolve => setTimeout(resolve, 5))
  })
  const [{ name, href, blob }] = fake.handed
  assert.deepEqual([name, href, await blob.text(), blob.type, fake.revoked], ["a.md", "blob:1", "# a", "text/markdown", ["blob:1"]])
})
