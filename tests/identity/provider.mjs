// An OpenID Connect provider on loopback: oidc-provider (certified, and nothing of ours). Whoever enters a name is that.
//
//   node provider.mjs PORT REDIRECT_URI
//
// It says `issuer URL` once it answers, and ends with its standard input.
import Provider from 'oidc-provider'

const [port, redirect] = process.argv.slice(2)
const issuer = `http://127.0.0.1:${port}`
const provider = new Provider(issuer, {
  clients: [{ client_id: 'nearcast', client_secret: 'a secret: of the tests', redirect_uris: [redirect] }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups'], email: ['email'] },
  // As most providers do: the ID token has what was asked for.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ['of the tests'] },
  async findAccount(_context, id) {
    const groups = id === 'nobody' ? [] : ['staff']
    const claims = { sub: id, preferred_username: id, name: `${id} of the tests`, email: `${id}@example.net`, groups }
    return { accountId: id, claims: async () => claims }
  },
})
provider.listen(Number(port), '127.0.0.1', () => console.log(`issuer ${issuer}`))
process.stdin.on('end', () => process.exit(0)).resume()
