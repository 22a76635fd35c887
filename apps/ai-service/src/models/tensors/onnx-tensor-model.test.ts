import { afterAll, beforeAll, expect, test } from 'vitest';
import { TEXT_ORIENTATION } from '../catalog.ts';
import { drawTextLine } from '../testing/text-line-image.ts';
import type { NamedTensor } from '../types.ts';
import { OnnxTensorModel } from './onnx-tensor-model.ts';

let model: OnnxTensorModel;
beforeAll(async () => {
  model = await OnnxTensorModel.load(TEXT_ORIENTATION);
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
});

function imagesTensor(images: readonly Float32Array[]): NamedTensor {
  const data = new Float32Array(images.length * 3 * 48 * 192);
  for (const [row, image] of images.entries()) data.set(image, row * image.length);
  return { name: 'x', datatype: 'FP32', shape: [images.length, 3, 48, 192], data };
}

test.each(['TYPE 247', 'FARTEL', 'APPLY 2'])('tells how "%s" stands', async (text) => {
  const upright = drawTextLine(text, { upsideDown: false });
  const turned = drawTextLine(text, { upsideDown: true });
  const [output, ...others] = await model.infer([imagesTensor([upright, turned, upright])]);
  expect(others).toEqual([]);
  expect(output).toMatchObject({ name: 'probabilities', datatype: 'FP32', shape: [3, 2] });
  const [first = 0, firstTurned = 0, second = 0, secondTurned = 0, third = 0] = output?.data ?? [];
  expect(Number(first)).toBeGreaterThan(0.9);
  expect(Number(first) + Number(firstTurned)).toBeCloseTo(1, 5);
  expect(Number(secondTurned)).toBeGreaterThan(0.9);
  expect(Number(second) + Number(secondTurned)).toBeCloseTo(1, 5);
  expect(Number(third)).toBeCloseTo(Number(first), 5);
});

test('leaves the tensors of the caller as they are', async () => {
  const input = imagesTensor([drawTextLine('TYPE', { upsideDown: false })]);
  await model.infer([input]);
  expect(input.data).toHaveLength(3 * 48 * 192);
});

test('answers many requests at the same time, each with its own', async () => {
  const images = Array.from({ length: 12 }, (_, index) =>
    drawTextLine('TYPE 247', { upsideDown: index % 2 === 1 }),
  );
  const outputs = await Promise.all(
    images.map(async (image) => (await model.infer([imagesTensor([image])]))[0]),
  );
  for (const [index, output] of outputs.entries()) {
    expect(Number(output?.data[index % 2])).toBeGreaterThan(0.9);
  }
});

test('refuses an image of another size', async () => {
  const input: NamedTensor = {
    name: 'x',
    datatype: 'FP32',
    shape: [1, 3, 32, 32],
    data: new Float32Array(3072),
  };
  await expect(model.infer([input])).rejects.toMatchObject({ name: 'ModelInputError' });
});

test('says what it is', async () => {
  expect(await model.metadata()).toMatchObject({ name: 'text-orientation', kind: 'tensor' });
});
