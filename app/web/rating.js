// The rating of one movie: a native radio group, so arrows, touch and screen readers work by themselves; and digits.
// The veto stands apart from the four steps of liking.

import { element } from "./dom.js";

const WORDS = ["Veto", "Meh", "Okay", "Good", "Love"];

// `rated(rating)` is called with 1 to 5, or null when the rating is taken back.
export function ratingControl(movieID, rated) {
  const name = `rating-${movieID}`;
  const legend = element("legend", { className: "hidden" });
  const radios = WORDS.map((word, index) => {
    const radio = element("input", { type: "radio", name, value: String(index + 1), className: "hidden" });
    radio.addEventListener("change", () => rated(index + 1));
    return radio;
  });
  const labels = radios.map((radio, index) =>
    element(
      "label",
      { className: index === 0 ? "step veto" : "step" },
      radio,
      element(
        "span",
        { className: "step-face" },
        element("span", { className: "number", textContent: String(index + 1) }),
        element("span", { className: "word", textContent: WORDS[index] }),
      ),
    ),
  );
  const group = element("fieldset", { className: "rating" }, legend, element("div", { className: "steps" }, ...labels));
  const clear = element(
    "button",
    { type: "button", className: "quiet clear" },
    "Clear",
    element("span", { className: "hidden" }),
  );

  const take = () => radios.find((radio) => radio.checked) ?? radios[0];
  const withdraw = () => {
    take().focus();
    show(null);
    rated(null);
  };
  const show = (rating) => {
    for (const radio of radios) radio.checked = Number(radio.value) === rating;
    group.dataset.rating = rating ?? "";
    clear.hidden = rating === null;
  };
  clear.addEventListener("click", withdraw);
  group.addEventListener("change", () => show(Number(take().value)));
  group.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (/^[1-5]$/.test(event.key)) {
      const radio = radios[Number(event.key) - 1];
      radio.focus();
      if (!radio.checked) radio.click();
    } else if (["Delete", "Backspace", "0"].includes(event.key) && group.dataset.rating) withdraw();
    else return;
    event.preventDefault();
  });

  return {
    group,
    clear,
    // Chooses a step as if it was pressed.
    choose: (rating) => radios[rating - 1].click(),
    update(title, rating) {
      legend.textContent = `Your rating of ${title}`;
      clear.lastChild.textContent = ` your rating of ${title}`;
      show(rating);
    },
  };
}
