/*
 * What makes pages quicker to use. Every page works without this file. Its texts come from data attributes of the
 * templates, where gettext translates them.
 */
"use strict";

const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

/* Start reading at the error summary or the alert, if the page has one. */
find("[data-focus]")?.focus();

/* Announcements: tell screen readers something without moving the focus. */

let announcement;

function announce(text, delay = 0) {
  clearTimeout(announcement);
  announcement = setTimeout(() => {
    const region = find("#live");
    if (region) region.textContent = text;
  }, delay);
}

/* Controls that only work with a script arrive hidden. */

function showScriptedControls() {
  findAll("[data-script]").forEach((control) => {
    control.hidden = false;
  });
}

showScriptedControls();

/* Buttons that act on the page itself */

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-reveal], [data-copy], [data-dialog], [data-close], [data-pick-all]");
  if (!target) return;
  const { dataset } = target;
  if ("reveal" in dataset) showSecret(target, target.getAttribute("aria-pressed") !== "true");
  else if ("copy" in dataset) copy(target);
  else if ("pickAll" in dataset) pickAllRows(target.checked);
  else if ("close" in dataset) closeDialog(event, target);
  else openDialog(event, dataset.dialog);
});

function showSecret(button, shown) {
  find(`#${button.getAttribute("aria-controls")}`).type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", shown);
  find("span", button).textContent = shown ? button.dataset.hide : button.dataset.reveal;
}

async function copy(button) {
  const source = find(`#${button.dataset.copy}`);
  const label = find("span", button) ?? button;
  // A second click within two seconds must not take "Copied" for the button's own label.
  button.dataset.label ??= label.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
  } catch {
    // Browsers have no clipboard without HTTPS: select the text, so that the person can copy it.
    getSelection().selectAllChildren(source);
    return;
  }
  label.textContent = button.dataset.copied;
  announce(button.dataset.copied);
  setTimeout(() => {
    label.textContent = button.dataset.label;
  }, 2000);
}

function openDialog(event, id) {
  const dialog = find(`#${id}`);
  if (!dialog) return;
  event.preventDefault();
  dialog.showModal();
}

function closeDialog(event, button) {
  event.preventDefault();
  button.closest("dialog").close();
}

/* Leaving a form with unsaved changes asks first. A form that came back with errors was not saved either. */

let hasUnsavedChanges = Boolean(find("form[data-guard] [aria-invalid]"));

document.addEventListener("input", (event) => {
  if (event.target.closest("form[data-guard]")) hasUnsavedChanges = true;
});

addEventListener("beforeunload", (event) => {
  if (hasUnsavedChanges) event.preventDefault();
});

/* Forms are sent once: the button says what happens, and a second click does nothing. */

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  hasUnsavedChanges = false;
  findAll("[data-reveal]", form).forEach((button) => showSecret(button, false));
  if (event.submitter?.matches(".button")) showBusy(event.submitter);
});

function showBusy(button) {
  button.dataset.content = button.innerHTML;
  button.setAttribute("aria-busy", "true");
  if (!button.dataset.busy) return;
  button.textContent = button.dataset.busy;
  announce(button.dataset.busy);
}

/* The Back button may bring a page back as it was left, with its forms sent and its buttons busy. */
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  findAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  findAll("[aria-busy]").forEach((button) => {
    button.removeAttribute("aria-busy");
    button.innerHTML = button.dataset.content;
  });
});

/* Filters apply as soon as a value is chosen. */
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-apply]")) event.target.form.requestSubmit();
});

/* Rows are picked one by one, or all at once by the checkbox in the table's head. */

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick]")) updatePickAll();
});

function pickAllRows(checked) {
  findAll("[data-pick]").forEach((box) => {
    box.checked = checked;
  });
}

function updatePickAll() {
  const pickAll = find("[data-pick-all]");
  if (pickAll) pickAll.checked = findAll("[data-pick]").every((box) => box.checked);
}

/* The search of the fleet switcher hides the fleets that do not match. */
document.addEventListener("input", (event) => {
  const list = event.target.dataset.narrows && find(`#${event.target.dataset.narrows}`);
  if (!list) return;
  const searched = event.target.value.trim().toLowerCase();
  findAll("a", list).forEach((link) => {
    link.hidden = !link.textContent.toLowerCase().includes(searched);
  });
});

/* Enter after a whole VIN in a search field opens the vehicle that has it. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("[type=search]")) return;
  const link = find("[data-enter]");
  const vin = event.target.value.toUpperCase().replace(/[\s-]/g, "");
  if (!link || vin !== link.dataset.enter) return;
  event.preventDefault();
  link.click();
});

/* Menus: opening one focuses its first entry, and arrows move. The browser closes them on Esc or a click outside. */

document.addEventListener("toggle", (event) => {
  const popover = event.target;
  if (!popover.matches?.("[popover]") || event.newState !== "open") return;
  find("a, button, input:not([hidden], [type=hidden])", popover)?.focus();
}, true);

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest(".menu");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!menu || !step) return;
  event.preventDefault();
  const entries = findAll("a:not([hidden]), button", menu);
  entries[(entries.indexOf(event.target) + step + entries.length) % entries.length].focus();
});

/* Shortcuts: /, ?, N, and G followed by a letter. They rest inside fields, and the account menu turns them off. */

const SECOND_KEY_WITHIN = 1500; // milliseconds after G
let timeOfG = -Infinity;

document.addEventListener("keydown", (event) => {
  if (!takesShortcut(event)) return;
  const key = event.key.toLowerCase();
  if (key === "g") {
    timeOfG = event.timeStamp;
    return;
  }
  const shortcut = event.timeStamp - timeOfG < SECOND_KEY_WITHIN ? `g${key}` : key;
  timeOfG = -Infinity;
  if (runShortcut(shortcut)) event.preventDefault();
});

function takesShortcut(event) {
  if (!document.body.hasAttribute("data-shortcuts")) return false;
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const inField = event.target.closest("input, select, textarea, [contenteditable]");
  return !inField && !find("dialog[open], :popover-open");
}

function runShortcut(shortcut) {
  if (shortcut === "?") {
    find("#shortcuts")?.showModal();
    return true;
  }
  const target = find(`[data-key="${CSS.escape(shortcut)}"]`);
  if (!target) return false;
  if (target.matches("input")) {
    target.focus();
    target.select();
  } else {
    target.click();
  }
  return true;
}

/* Partial updates by htmx keep the focus. Wait until typing has stopped before announcing the new count. */

document.addEventListener("htmx:afterSwap", (event) => {
  showScriptedControls();
  const text = find("[data-announce]", event.target)?.dataset.announce ?? event.target.dataset?.announce;
  if (text) announce(text, 500);
});

document.addEventListener("htmx:responseError", showFailure);
document.addEventListener("htmx:sendError", showFailure);

function showFailure() {
  const alert = find("#failed");
  if (alert) alert.hidden = false;
}
