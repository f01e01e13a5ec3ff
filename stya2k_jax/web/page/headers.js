// --- The service worker ---------------------------------------------------------------------
// WebAssembly may use several threads only in a page with two headers that static hosts do not
// send. The service worker adds them to what this site sends. It keeps and changes nothing else.

function startHeaders() {
  self.addEventListener("install", () => self.skipWaiting());
  self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
  self.addEventListener("fetch", event => {
    const own = new URL(event.request.url).origin === self.location.origin;
    if (own) event.respondWith(withHeaders(event.request));
  });
}

async function withHeaders(request) {
  const response = await fetch(request);
  if (response.type === "error" || response.type === "opaqueredirect") return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  const {status, statusText} = response;
  return new Response(response.body, {status, statusText, headers});
}
