// Makes the page quicker; all of it works without. Findings while you type, seconds that count down, text not lost.
"use strict";
document.documentElement.classList.add("quick");

const letter = document.getElementById("letter");
if (letter) {
  const list = document.getElementById("findings"), marks = letter.querySelector(".marks");
  let timer = 0, asked = 0, left = false;
  const look = async () => {
    const mine = ++asked;
    const form = new URLSearchParams({
      token: letter.token.value, subject: letter.subject.value, body: letter.body.value,
    });
    const answer = await fetch(list.dataset.check, { method: "POST", body: form }).catch(() => null);
    if (!answer || !answer.ok || mine !== asked) return;
    const found = await answer.json();
    // Made by the page's own templates, which escape every text.
    const ticked = new Set([...list.querySelectorAll("input:checked")].map((one) => one.value));
    list.innerHTML = found.findings;
    list.querySelectorAll("input").forEach((one) => { one.checked = ticked.has(one.value); });
    marks.innerHTML = found.marked + "\n";
    letter.seen.value = [...list.querySelectorAll(".code")].map((one) => one.textContent).join(" ");
  };
  letter.addEventListener("input", () => {
    left = true;
    // What is marked was marked in another text.
    marks.textContent = "";
    clearTimeout(timer);
    timer = setTimeout(look, 400);
  });
  letter.addEventListener("submit", (event) => {
    left = false;
    clearTimeout(timer);
    // Pressed twice is once.
    if (letter.dataset.sent) event.preventDefault();
    letter.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => { delete letter.dataset.sent; });
  window.addEventListener("beforeunload", (event) => { if (left) event.preventDefault(); });
}

const countdown = document.querySelector(".countdown[data-seconds]");
if (countdown) {
  const end = Date.now() + 1000 * Number(countdown.dataset.seconds), words = countdown.textContent;
  // Then it is on its way, and the page says what became of it; a few times, as a server may take its time.
  const again = () => {
    const looks = Number(sessionStorage.getItem(location.pathname) || 0);
    sessionStorage.setItem(location.pathname, String(Number(countdown.dataset.seconds) ? 1 : looks + 1));
    if (Number(countdown.dataset.seconds) || looks < 8) location.reload();
  };
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    if (/\d/.test(words)) countdown.textContent = words.replace(/\d+/, String(seconds));
    if (seconds) setTimeout(tick, 250); else setTimeout(again, 1500);
  };
  tick();
}
