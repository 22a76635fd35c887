const HEIGHT = 48;
const WIDTH = 192;
const GLYPH_WIDTH = 5;
const GLYPH_HEIGHT = 7;

/** A 5×7 bitmap font: rows from the top, the leftmost pixel is the highest of five bits. */
const GLYPHS: Readonly<Record<string, readonly number[]>> = {
  ' ': [0, 0, 0, 0, 0, 0, 0],
  '2': [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f],
  '4': [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02],
  '7': [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
  A: [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11],
  E: [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f],
  F: [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10],
  L: [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f],
  P: [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10],
  R: [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11],
  T: [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04],
  Y: [0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04],
};

/**
 * A line of text, dark on light, as the orientation classifier takes it: `[3, 48, 192]` from -1 (black) to 1 (white).
 *
 * @param text Of the few characters drawn above; nine fit.
 */
export function drawTextLine(text: string, options: { upsideDown: boolean }): Float32Array {
  const scale = 4;
  const plane = new Float32Array(HEIGHT * WIDTH).fill(0.9);
  const top = Math.floor((HEIGHT - GLYPH_HEIGHT * scale) / 2);
  for (const [position, character] of Array.from(text).entries()) {
    const left = 6 + position * (GLYPH_WIDTH + 1) * scale;
    drawGlyph(plane, character, left, top, scale);
  }
  // A half turn is the pixels in reverse order.
  if (options.upsideDown) plane.reverse();
  const image = new Float32Array(3 * plane.length);
  for (let channel = 0; channel < 3; channel++) image.set(plane, channel * plane.length);
  return image;
}

function drawGlyph(
  plane: Float32Array,
  character: string,
  left: number,
  top: number,
  scale: number,
): void {
  const rows = GLYPHS[character];
  if (rows === undefined) throw new Error(`The test font has no ${character}`);
  for (let y = 0; y < GLYPH_HEIGHT * scale; y++) {
    for (let x = 0; x < GLYPH_WIDTH * scale; x++) {
      const bit = GLYPH_WIDTH - 1 - Math.floor(x / scale);
      const isInk = (((rows[Math.floor(y / scale)] ?? 0) >> bit) & 1) === 1;
      if (isInk && left + x < WIDTH) plane[(top + y) * WIDTH + left + x] = -0.9;
    }
  }
}
