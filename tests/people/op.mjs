// The real OpenID Connect provider of the tests: oidc-provider, with Keycloak's paths and claims. Version 8 is
// the last that runs on Debian 12's Node.js 18.
// Environment: USERS (a JSON file), RP (Berth's address), PORT (0: any). Prints its issuer.
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const { RP, USERS, PORT = 0 } = process.env;
const users = () => JSON.parse(fs.readFileSync(USERS));
const server = http.createServer().listen(Number(PORT), '127.0.0.1');
await once(server, 'listening');
const base = '/realms/cc';
const at = '/protocol/openid-connect';
const issuer = `http://127.0.0.1:${server.address().port}${base}`;
// A new key at each start: a restart is a rotation of keys.
const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: crypto.randomUUID(), use: 'sig', alg: 'RS256' };

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  cookies: { keys: ['k'] },
  ttl: { AccessToken: 300, IdToken: 300 },
  pkce: { required: () => true },
  clients: [{
    client_id: 'berth',
    client_secret: 's3cret',
    redirect_uris: [`${RP}/hub/oauth_callback`],
    post_logout_redirect_uris: [`${RP}/`],
    backchannel_logout_uri: `${RP}/hub/backchannel_logout`,
    backchannel_logout_session_required: true,
  }],
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: {
    openid: ['sub'],
    profile: ['preferred_username', 'name', 'uidNumber', 'gidNumber'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  conformIdTokenClaims: false, // claims in the ID token too, as Keycloak does
  findAccount: (_, id) => users()[id] && { accountId: id, claims: () => ({ ...users()[id].claims, sub: id }) },
  loadExistingGrant: async (ctx) => { // no consent page
    const { client, session } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid profile email groups');
    await grant.save();
    return grant;
  },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = `<!doctype html>${form}<button form="op.logoutForm" name="logout" value="yes">Log out</button>`;
      },
    },
  },
  interactions: { url: (_, interaction) => `${base}/interaction/${interaction.uid}` },
  routes: {
    authorization: `${at}/auth`,
    token: `${at}/token`,
    userinfo: `${at}/userinfo`,
    jwks: `${at}/certs`,
    end_session: `${at}/logout`,
  },
});

const page = (response, status, html) => {
  response.writeHead(status, { 'content-type': 'text/html' });
  response.end(`<!doctype html><title>CC login</title>${html}`);
};
server.on('request', async (request, response) => {
  if (!request.url.startsWith(`${base}/interaction/`)) {
    request.originalUrl = request.url;
    request.url = request.url.slice(base.length);
    return provider.callback()(request, response);
  }
  if (request.method === 'GET') {
    return page(response, 200, '<form method="post"><input name="username"><input name="password" type="password"><button>Log in</button></form>');
  }
  let body = '';
  for await (const part of request) body += part;
  const form = new URLSearchParams(body);
  const id = form.get('username');
  if (users()[id]?.password !== form.get('password')) {
    return page(response, 401, '<p>Invalid username or password</p>');
  }
  await provider.interactionFinished(request, response, { login: { accountId: id } }, { mergeWithLastSubmission: false });
});
console.log(issuer);
