// One script with two tasks: the page, and its worker, the painter. The end finds out which it is.
"use strict";

const MANIFEST = "manifest.json";

/** Fetches a file whole; with a digest, the browser refuses any other content. */
async function bytesOf(url, integrity) {
  let response;
  try {
    response = await fetch(url, integrity ? {integrity, credentials: "omit"} : {});
  } catch {
    throw new Error(`${url} cannot be loaded, or is not the file that this page expects.`);
  }
  if (!response.ok) throw new Error(`${url} cannot be loaded (status ${response.status}).`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Returns the size of a file in words. */
const megabytes = bytes => `${(bytes / 1e6).toFixed(1)} MB`;
