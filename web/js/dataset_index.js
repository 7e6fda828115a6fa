// A new Dataset Sample keeps its index after a run. ComfyUI starts every "control after generate" at randomize and has
// no setting for it in the node's schema that its older pages take; a file's own value is restored after this.

import { app } from "../../../scripts/app.js";

app.registerExtension({
  name: "LadiVTON.DatasetIndex",
  nodeCreated(node) {
    if (node.comfyClass !== "LadiVTON_DatasetSample") return;
    const index = node.widgets?.find((widget) => widget.name === "index");
    const control = index?.linkedWidgets?.[0];
    if (control) control.value = "fixed";
  },
});
