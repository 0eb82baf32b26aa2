// Dialogs, previews and small comforts. Everything also works without: links open pages, forms post.
(() => {
  "use strict";

  const PREVIEW_DELAY_MS = 300;

  const say = (text) => {
    const box = document.createElement("div");
    box.className = "p-saying";
    box.setAttribute("role", "status");
    box.textContent = text;
    document.body.append(box);
    setTimeout(() => box.remove(), 2500);
  };

  // --- Dialogs

  const fetchInside = (url, options = {}) =>
    fetch(url, { credentials: "same-origin", ...options, headers: { "X-Purser-Dialog": "1", ...options.headers } });

  const openDialog = async (link) => {
    let answer;
    try {
      answer = await fetchInside(link.href);
    } catch {
      answer = null;
    }
    if (!answer || !answer.ok || answer.redirected) {
      window.location.assign(link.href);
      return;
    }
    const dialog = document.createElement("dialog");
    dialog.className = "p-dialog";
    dialog.setAttribute("aria-labelledby", "p-dialog-title");
    dialog.dataset.dialogRoot = "";
    dialog.innerHTML = await answer.text();
    document.body.append(dialog);
    dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
    // What is shown once must not vanish by a slip of the hand.
    dialog.addEventListener("cancel", (event) => { if (dialog.querySelector("[data-secret]")) event.preventDefault(); });
    dialog.addEventListener("mousedown", (event) => {
      if (event.target === dialog && !dialog.querySelector("[data-secret]") && !isFilled(dialog)) dialog.close();
    });
    dialog.showModal();
    prepare(dialog);
    dialog.querySelector("input:not([type=hidden]), select, textarea")?.focus();
  };

  const isFilled = (root) =>
    [...root.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue);

  const submit = async (form, root) => {
    const button = form.querySelector("[data-submit]");
    if (button.disabled) return;
    button.disabled = true;
    try {
      const answer = await fetchInside(form.action, { method: "POST", body: new FormData(form) });
      const location = answer.headers.get("X-Purser-Location");
      if (location) {
        const before = window.location.href;
        window.location.assign(location);
        if (location.includes("#") && before.split("#")[0] === new URL(location, before).href.split("#")[0]) window.location.reload();
        return;
      }
      if (answer.status === 200 || answer.status === 409 || answer.status === 422) {
        root.innerHTML = await answer.text();
        prepare(root);
        root.querySelector(".p-field-wrong input, .p-field-wrong select, .p-field-wrong textarea, [data-copy]")?.focus();
        return;
      }
      say(answer.status === 403 ? "You may not do this, or your session has ended." : `The server answered ${answer.status}. Nothing was sent twice: try again.`);
    } catch {
      // The same token goes with the next try, so an answer that was lost does not become a second effect.
      say("No answer. Trying again is safe.");
    }
    button.disabled = false;
  };

  // --- Previews

  // The button says what it will do: above a limit that is asking for approval.
  const showPreview = (form, target, html) => {
    const held = target.contains(document.activeElement) ? document.activeElement.name : "";
    target.innerHTML = html;
    if (held) target.querySelector(`[name="${held}"]`)?.focus();
    const button = form.querySelector("[data-submit]");
    button.textContent = target.querySelector("[data-above]")?.dataset.submitLabel || button.dataset.label;
  };

  const preview = (form) => {
    const target = form.querySelector("[data-preview-target]");
    let timer, running;
    const ask = async () => {
      running?.abort();
      running = new AbortController();
      const data = new FormData(form);
      data.set("preview", "1");
      try {
        const answer = await fetchInside(form.action, { method: "POST", body: data, signal: running.signal });
        if (answer.ok) showPreview(form, target, await answer.text());
      } catch (error) {
        if (error.name !== "AbortError") target.textContent = "No preview: the server did not answer.";
      }
    };
    const later = () => { clearTimeout(timer); timer = setTimeout(ask, PREVIEW_DELAY_MS); };
    form.addEventListener("input", later);
    form.addEventListener("change", later);
    if ([...form.querySelectorAll("input:not([type=hidden])")].some((field) => field.value && field.value !== "0")) later();
  };

  // --- Fields

  const showExact = (field) => {
    const hint = document.querySelector(`[data-exact-for="${field.id}"]`);
    if (!hint) return;
    const text = field.value.trim().replace("−", "-").replaceAll(" ", "");
    const found = /^([+-]?)(\d{1,13})(?:\.(\d{0,3}))?$/.exec(text);
    if (!found) { hint.textContent = ""; return; }
    const mc = BigInt(found[2]) * 1000n + BigInt((found[3] || "").padEnd(3, "0"));
    hint.textContent = `= ${found[1] === "-" ? "−" : ""}${mc.toLocaleString("en-US")} mc`;
  };

  const switchFields = (form, select) => {
    for (const field of form.querySelectorAll("[data-shown-for]")) {
      field.hidden = !field.dataset.shownFor.split(" ").includes(select.value);
    }
  };

  const prepare = (root) => {
    const form = root.querySelector("[data-dialog-form]");
    if (form) {
      form.addEventListener("submit", (event) => { event.preventDefault(); submit(form, root); });
      if (form.hasAttribute("data-preview")) preview(form);
      for (const field of form.querySelectorAll("[data-credits]")) {
        field.addEventListener("input", () => showExact(field));
        showExact(field);
      }
      const select = form.querySelector("[data-switch]");
      if (select) {
        select.addEventListener("change", () => switchFields(form, select));
        switchFields(form, select);
      }
    }
    root.querySelector("[data-dialog-close]")?.addEventListener("click", (event) => {
      if (root instanceof HTMLDialogElement) { event.preventDefault(); root.close(); }
    });
  };

  // --- Parts of a page that come after it

  const loadPart = async (part, url) => {
    try {
      const answer = await fetchInside(url);
      // Not the page of a login that has meanwhile ended.
      if (!answer.ok || answer.redirected) return;
      part.innerHTML = await answer.text();
      localTimes(part);
    } catch {
      // The link that stands there instead still works.
    }
  };

  const loadMore = async (part, link) => {
    const answer = await fetchInside(link.href);
    if (!answer.ok || answer.redirected) { window.location.assign(link.href); return; }
    const more = document.createElement("div");
    more.innerHTML = await answer.text();
    more.querySelector("nav")?.remove();
    link.closest("p").replaceWith(more);
    localTimes(more);
  };

  const loadParts = () => {
    for (const part of document.querySelectorAll("[data-load]")) {
      loadPart(part, part.dataset.load);
      part.addEventListener("click", (event) => {
        const link = event.target.closest("a");
        if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
        if (link.matches("[data-more]")) { event.preventDefault(); loadMore(part, link); }
        else if (link.closest("nav")) { event.preventDefault(); loadPart(part, link.href); }
      });
    }
  };

  const localTimes = (root = document) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      time.title = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const root of document.querySelectorAll("[data-dialog-root]")) prepare(root);
    localTimes();
    loadParts();
  });

  // The theme's search waits for a key that goes up, and none does when an id is pasted with the mouse.
  document.addEventListener("input", (event) => {
    if (event.target.id === "search-input-command") event.target.dispatchEvent(new KeyboardEvent("keyup"));
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      openDialog(link);
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      navigator.clipboard.writeText(copy.dataset.copy).then(() => say("Copied."), () => say("Select it and copy by hand."));
    }
    for (const open of document.querySelectorAll("details.p-environment[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
})();
