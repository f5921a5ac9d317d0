// Conveniences of the forms about people, hours and passes. Without this file every form still works.

const $all = (selector, root = document) => [...root.querySelectorAll(selector)];

// A closing time that is not later than the opening time is the next day's: say so while it is typed.
function sayOvernight(stretch) {
  const [from, to] = $all("input[type=time]", stretch).map((field) => field.value);
  stretch.querySelector("[data-overnight]").hidden = !(from && to && to <= from);
}

document.addEventListener("input", (event) => {
  const stretch = event.target.closest(".stretch");
  if (stretch) sayOvernight(stretch);
});
$all(".stretch").forEach(sayOvernight);

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
  if (!event.target.closest("[data-copy-monday]")) return;
  const days = $all(".week .day");
  const monday = $all("input[type=time]", days[0]).map((field) => field.value);
  for (const day of days.slice(1)) {
    $all("input[type=time]", day).forEach((field, number) => { field.value = monday[number] ?? ""; });
    $all(".stretch", day).forEach(sayOvernight);
  }
});
