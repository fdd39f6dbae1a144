// Small pictures to try, drawn here: a canvas of 96 x 96 each.

import { element } from "./dom.js";

const SIDE = 96;

function shape(pen, colour, points) {
  pen.fillStyle = colour;
  pen.beginPath();
  points.forEach(([x, y]) => pen.lineTo(x, y));
  pen.fill();
}

function disc(pen, colour, x, y, radius, squeeze = 1) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.ellipse(x, y, radius, radius * squeeze, 0, 0, 2 * Math.PI);
  pen.fill();
}

function shade(pen, upper, lower) {
  const colours = pen.createLinearGradient(0, 0, 0, SIDE);
  colours.addColorStop(0, upper);
  colours.addColorStop(1, lower);
  pen.fillStyle = colours;
  pen.fillRect(0, 0, SIDE, SIDE);
}

function ship(pen) {
  shade(pen, "#a9cfee", "#e6f1f8");
  pen.fillStyle = "#2b6490";
  pen.fillRect(0, 62, SIDE, 34);
  shape(pen, "#7b2d26", [[10, 54], [88, 54], [76, 72], [22, 72]]);
  shape(pen, "#f4f4f0", [[30, 38], [70, 38], [70, 54], [30, 54]]);
  shape(pen, "#c9512f", [[44, 22], [54, 22], [54, 38], [44, 38]]);
  for (const x of [36, 46, 56]) disc(pen, "#28435a", x + 3, 46, 2.5);
}

function airplane(pen) {
  shade(pen, "#4f93d2", "#cfe4f5");
  disc(pen, "#ffffffb0", 22, 76, 16, 0.4);
  shape(pen, "#c9ced6", [[44, 46], [66, 82], [74, 82], [60, 46]]);
  shape(pen, "#b4bac4", [[46, 42], [62, 20], [68, 20], [60, 42]]);
  disc(pen, "#eef0f4", 48, 46, 38, 0.17);
  shape(pen, "#d0452f", [[12, 44], [8, 24], [18, 26], [28, 43]]);
}

function automobile(pen) {
  shade(pen, "#dfe7ea", "#f6f3ea");
  pen.fillStyle = "#6d6f72";
  pen.fillRect(0, 68, SIDE, 28);
  shape(pen, "#c1272d", [[8, 50], [24, 48], [34, 32], [64, 32], [76, 48], [90, 54], [90, 70], [8, 70]]);
  shape(pen, "#bfe0ef", [[30, 47], [37, 36], [48, 36], [48, 47]]);
  shape(pen, "#bfe0ef", [[52, 36], [62, 36], [70, 47], [52, 47]]);
  for (const x of [26, 72]) {
    disc(pen, "#1d1d1f", x, 70, 10);
    disc(pen, "#b8bcc2", x, 70, 4.5);
  }
}

function frog(pen) {
  shade(pen, "#8a9a58", "#5c6b39");
  disc(pen, "#4f9a35", 48, 60, 32, 0.7);
  for (const x of [30, 66]) {
    disc(pen, "#4f9a35", x, 36, 12);
    disc(pen, "#f4e9a6", x, 35, 8);
    disc(pen, "#161a10", x, 35, 4, 0.8);
  }
  disc(pen, "#bcd98a", 48, 72, 22, 0.4);
  pen.strokeStyle = "#29561b";
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.arc(48, 46, 20, 0.25 * Math.PI, 0.75 * Math.PI);
  pen.stroke();
}

function seven(pen) {
  shade(pen, "#000", "#000");
  pen.strokeStyle = "#fff";
  pen.lineWidth = 9;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  [[26, 24], [70, 24], [44, 76]].forEach(([x, y]) => pen.lineTo(x, y));
  pen.stroke();
}

export const DRAWINGS = { ship, airplane, automobile, frog, "digit 7": seven };

export function draw(name) {
  const canvas = element("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
  DRAWINGS[name](canvas.getContext("2d"));
  return canvas;
}

export const asPng = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
