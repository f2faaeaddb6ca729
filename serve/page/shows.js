// What a model that was told tags can be asked to show: a choice for each group and yes/no tag, which rests at "as it comes".

import { h } from "./dom.js";
import { words } from "./words.js";

/** `columns`: "group=value" and yes/no tags. Gives {nodes, value(), set(shows)}; shows is {group: value, yes/no tag: true or false}. */
export function buildShows(columns, onchange) {
  const options = new Map();
  for (const column of columns) {
    const [name, value] = column.split("=");
    options.set(name, [...(options.get(name) ?? []), ...(value ? [value] : [true, false])]);
  }
  const text = (value) => (value === true ? "Yes" : value === false ? "No" : words(value));
  const fields = [...options].map(([name, values]) => {
    const choices = values.map((value, value_idx) => h("option", { value: value_idx }, text(value)));
    const select = h("select", { id: `shows-${name}`, onchange }, h("option", { value: "" }, "As it comes"), ...choices);
    const node = h("div", { class: "field" }, h("label", { for: select.id }, `Show ${words(name).toLowerCase()}`), select);
    return { name, values, select, node };
  });
  return {
    nodes: fields.map(({ node }) => node),
    value: () => Object.fromEntries(fields.filter(({ select }) => select.value).map(({ name, values, select }) => [name, values[select.value]])),
    set(shows) {
      for (const { name, values, select } of fields) select.value = values.includes(shows[name]) ? values.indexOf(shows[name]) : "";
    },
  };
}
