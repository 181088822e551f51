/* What makes the pages quicker. Every page works without this file; words come from data attributes, so that they are
   translated where all others are. */
"use strict";

const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const inField = (element) => element.closest("input, select, textarea, [contenteditable]");

/* After an error the reader starts at the summary or the alert. */
find("[data-focus]")?.focus();

/* Says something to screen readers without moving the focus. */
let speaking;
function say(words, wait = 0) {
  clearTimeout(speaking);
  speaking = setTimeout(() => { const live = find("#live"); if (live) live.textContent = words; }, wait);
}

/* Buttons that only mean something with script are sent hidden. */
const wake = (root) => all("[data-script]", root).forEach((element) => { element.hidden = false; });
wake(document);

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-reveal], [data-copy], [data-dialog], [data-close], [data-pick-all]");
  if (!target) return;
  const { dataset } = target;
  if ("reveal" in dataset) reveal(target);
  else if ("copy" in dataset) copy(target);
  else if ("pickAll" in dataset) all("[data-pick]").forEach((box) => { box.checked = target.checked; });
  else if ("close" in dataset) { event.preventDefault(); target.closest("dialog").close(); }
  else if (find(`#${dataset.dialog}`)) { event.preventDefault(); find(`#${dataset.dialog}`).showModal(); }
});

function reveal(button, shown = button.getAttribute("aria-pressed") !== "true") {
  find(`#${button.getAttribute("aria-controls")}`).type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", shown);
  find("span", button).textContent = shown ? button.dataset.hide : button.dataset.reveal;
}

async function copy(button) {
  const words = find("span", button) ?? button;
  const before = (button.dataset.words ??= words.textContent);
  try {
    await navigator.clipboard.writeText(find(`#${button.dataset.copy}`).textContent.trim());
  } catch {
    getSelection().selectAllChildren(find(`#${button.dataset.copy}`)); // no clipboard without https: select it instead
    return;
  }
  words.textContent = button.dataset.copied;
  say(button.dataset.copied);
  setTimeout(() => { words.textContent = before; }, 2000);
}

/* One submit is enough: the button says what happens, a second click is ignored. Leaving a changed form asks first. */
let changed = false;
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  changed = false;
  all("[data-reveal]", form).forEach((button) => reveal(button, false));
  const button = event.submitter;
  if (button?.matches(".button")) {
    button.dataset.words = button.innerHTML;
    button.setAttribute("aria-busy", "true");
    if (button.dataset.busy) { button.textContent = button.dataset.busy; say(button.dataset.busy); }
  }
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  all("form[data-sent]").forEach((form) => delete form.dataset.sent);
  all("[aria-busy]").forEach((button) => { button.removeAttribute("aria-busy"); button.innerHTML = button.dataset.words; });
});
document.addEventListener("input", (event) => { if (event.target.closest("form[data-guard]")) changed = true; });
addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
if (find("form[data-guard] [aria-invalid]")) changed = true;

/* A select that filters applies at once; the fleet switcher's search hides the fleets that do not match. */
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-apply]")) event.target.form.requestSubmit();
  if (event.target.matches("[data-pick]")) { const head = find("[data-pick-all]"); if (head) head.checked = all("[data-pick]").every((box) => box.checked); }
});
document.addEventListener("input", (event) => {
  const list = event.target.dataset.narrows && find(`#${event.target.dataset.narrows}`);
  if (list) all("a", list).forEach((link) => { link.hidden = !link.textContent.toLowerCase().includes(event.target.value.trim().toLowerCase()); });
});

/* A whole VIN in the search field: the vehicle is found, and Enter opens it. */
document.addEventListener("keydown", (event) => {
  const open = event.key === "Enter" && event.target.matches("[type=search]") && find("[data-enter]");
  if (!open || event.target.value.toUpperCase().replace(/[\s-]/g, "") !== open.dataset.enter) return;
  event.preventDefault();
  open.click();
});

/* Menus: the first entry has the focus, arrows move. Esc and a click outside are the platform's. */
document.addEventListener("toggle", (event) => {
  const opened = event.target;
  if (opened.matches?.("[popover]") && event.newState === "open") find("a, button, input:not([hidden], [type=hidden])", opened)?.focus();
}, true);
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest(".menu");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!menu || !step) return;
  event.preventDefault();
  const entries = all("a:not([hidden]), button", menu);
  entries[(entries.indexOf(event.target) + step + entries.length) % entries.length].focus();
});

/* Shortcuts: / ? N and G with a letter. Off inside fields, and off altogether by the account menu. */
let afterG = -Infinity;
document.addEventListener("keydown", (event) => {
  if (!document.body.hasAttribute("data-shortcuts") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (inField(event.target) || find("dialog[open], :popover-open")) return;
  const key = event.key.toLowerCase();
  if (key === "g") { afterG = event.timeStamp; return; }
  const wanted = event.timeStamp - afterG < 1500 ? `g${key}` : key;
  afterG = -Infinity;
  const target = find(`[data-key="${CSS.escape(wanted)}"]`);
  if (wanted === "?") find("#shortcuts")?.showModal();
  else if (!target) return;
  else if (target.matches("input")) { target.focus(); target.select(); }
  else target.click();
  event.preventDefault();
});

/* Partial updates keep the focus; the new count is spoken after typing has stopped. */
document.addEventListener("htmx:afterSwap", (event) => {
  wake(document);
  const words = find("[data-announce]", event.target)?.dataset.announce ?? event.target.dataset?.announce;
  if (words) say(words, 500);
});
document.addEventListener("htmx:responseError", () => { const alert = find("#failed"); if (alert) alert.hidden = false; });
document.addEventListener("htmx:sendError", () => { const alert = find("#failed"); if (alert) alert.hidden = false; });
