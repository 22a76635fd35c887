import { expect, test } from 'vitest';
import type { NamedTensor, TensorMetadata } from '../types.ts';
import { validateTensors } from './validate-tensors.ts';

const DECLARED: TensorMetadata[] = [
  { name: 'x', datatype: 'FP32', shape: [-1, 2] },
  { name: 'text', datatype: 'BYTES', shape: [1], optional: true },
];

const x = (change: object = {}): NamedTensor =>
  ({
    name: 'x',
    datatype: 'FP32',
    shape: [2, 2],
    data: new Float32Array(4),
    ...change,
  }) as NamedTensor;
const text = (data: unknown): NamedTensor =>
  ({ name: 'text', datatype: 'BYTES', shape: [1], data }) as NamedTensor;

test('gives valid tensors by name', () => {
  const tensors = validateTensors([text(['hello']), x()], DECLARED, 8);
  expect([...tensors.keys()]).toEqual(['text', 'x']);
  expect(validateTensors([x()], DECLARED, 8).size).toBe(1);
});

test.each<[string, NamedTensor[], RegExp]>([
  ['an unknown name', [x(), x({ name: 'y' })], /no input "y"; its inputs are: x, text/],
  ['a missing input', [text(['a'])], /"x" is missing/],
  ['an input twice', [x(), x()], /"x" is given twice/],
  [
    'another datatype',
    [x({ datatype: 'INT32', data: new Int32Array(4) })],
    /INT32; the model takes FP32/,
  ],
  ['another array', [x({ data: new Float64Array(4) })], /FP32 elements in a Float64Array/],
  ['an array of numbers', [x({ data: [1, 2, 3, 4] })], /FP32 elements in a Array/],
  ['another rank', [x({ shape: [4] })], /shape \[4\]; the model takes \[-1,2\]/],
  ['another size', [x({ shape: [1, 4] })], /shape \[1,4\]; the model takes \[-1,2\]/],
  ['a negative size', [x({ shape: [-2, 2] })], /shape \[-2,2\]/],
  ['a broken size', [x({ shape: [0.5, 2] })], /shape \[0.5,2\]/],
  ['nothing', [x({ shape: [0, 2], data: new Float32Array(0) })], /shape \[0,2\]/],
  ['too few elements', [x({ shape: [3, 2] })], /4 elements; its shape \[3,2\] means 6/],
  [
    'too many rows',
    [x({ shape: [9, 2], data: new Float32Array(18) })],
    /9 rows; one request may have 8/,
  ],
  ['text that is none', [x(), text([7])], /element that is not text/],
])('refuses %s', (_what, inputs, message) => {
  let error: unknown;
  try {
    validateTensors(inputs, DECLARED, 8);
  } catch (caught) {
    error = caught;
  }
  expect(error).toMatchObject({ name: 'ModelInputError' });
  expect(String(error)).toMatch(message);
});
