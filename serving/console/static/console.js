// A page whose figures are still being worked out looks again by itself, unless somebody is writing on it or has opened something.
const waits = [...document.querySelectorAll("[data-waiting]")].map((one) => Number(one.dataset.waiting));
if (waits.length) {
  let touched = false;
  document.addEventListener("input", () => { touched = true; });
  setInterval(() => {
    const busy = touched || document.hidden || document.querySelector("details[open]:not([data-open])");
    if (!busy) location.reload();
  }, Math.min(...waits));
}
