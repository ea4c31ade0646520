// A browser without a screen: begins at the control plane, signs in at the provider, and says where it ends.
//
//   node sign-in.mjs CONTROL_URL NAME [again]
//
// It prints a line of JSON: the callback's status, body and Location, and the session's cookie. `again` sends the callback twice
// and prints the second answer.
const [control, name, again] = process.argv.slice(2)
const jars = new Map()

async function step(url, form) {
  const jar = jars.get(new URL(url).origin) ?? new Map()
  jars.set(new URL(url).origin, jar)
  const headers = { cookie: [...jar].map(([key, value]) => `${key}=${value}`).join('; ') }
  const body = form && new URLSearchParams(form)
  const answer = await fetch(url, { method: form ? 'POST' : 'GET', headers, body, redirect: 'manual' })
  const text = await answer.text()
  for (const line of answer.headers.getSetCookie()) {
    const [pair] = line.split(';')
    const at = pair.indexOf('=')
    jar.set(pair.slice(0, at), pair.slice(at + 1))
  }
  const location = answer.headers.get('location')
  return { url, status: answer.status, location: location && new URL(location, url).href, text, set: answer.headers.getSetCookie() }
}

let at = await step(`${control}/api/v1/oidc/login`)
for (let steps = 0; steps < 20 && !at.url.includes('/api/v1/oidc/callback'); steps += 1) {
  if (at.location?.includes('/api/v1/oidc/callback') && again) {
    await step(at.location)
    at = await step(at.location)
  } else if (at.location) {
    at = await step(at.location)
  } else if (at.url.includes('/interaction/')) {
    const action = /action="([^"]+)"/.exec(at.text)[1]
    const prompt = /name="prompt" value="([^"]+)"/.exec(at.text)[1]
    at = await step(new URL(action, at.url).href, prompt === 'login' ? { prompt, login: name, password: 'x' } : { prompt })
  } else {
    break
  }
}
const session = at.set.find((line) => line.startsWith('nearcast_session='))?.split(';')[0] ?? null
console.log(JSON.stringify({ status: at.status, location: at.location, text: at.text, session }))
