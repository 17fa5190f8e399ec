// What the other scripts share: the headers that ask for the piece of a page that changes, and how a piece is put in its place.
export const piece = { "X-Piece": "1", "Accept": "text/html" };

// A piece is parsed as a page of its own, in which no script runs.
export function put(into, html) {
  into.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
}
