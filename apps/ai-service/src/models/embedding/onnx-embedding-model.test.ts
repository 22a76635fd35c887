import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { USE_LITE } from '../catalog.ts';
import { OnnxEmbeddingModel } from './onnx-embedding-model.ts';

const PASSWORD = 'How do I reset my password?';

describe('use-lite', () => {
  let model: OnnxEmbeddingModel;
  beforeAll(async () => {
    model = await OnnxEmbeddingModel.load(USE_LITE);
  });
  afterAll(async () => {
    await model[Symbol.asyncDispose]();
  });

  async function vectorsOf(texts: string[]): Promise<Float32Array[]> {
    const { vectors, dimensions } = await model.embed(texts);
    return texts.map((_, row) => vectors.subarray(row * dimensions, (row + 1) * dimensions));
  }

  test('places sentences by their meaning, with the reference cosines', async () => {
    const [password, login, weather] = await vectorsOf([
      PASSWORD,
      'I forgot my login credentials',
      'The weather is lovely today',
    ]);
    expect(cosine(password, password)).toBeCloseTo(1, 5);
    expect(cosine(password, login)).toBeCloseTo(0.526, 3);
    expect(cosine(password, weather)).toBeCloseTo(0.019, 3);
  });

  test('gives each text of a mixed batch the vector it gets alone', async () => {
    const texts = Array.from(
      { length: 70 },
      (_, index) => `${'whale ship '.repeat(2 * index)}number ${index}`,
    );
    const together = await vectorsOf(texts);
    for (const [index, text] of texts.entries()) {
      const [alone] = await vectorsOf([text]);
      expect(greatestDifference(together[index], alone)).toBeLessThan(1e-5);
    }
  });

  test('keeps callers apart that run at the same time', async () => {
    const texts = Array.from({ length: 40 }, (_, index) => `The captain saw ${index} whales`);
    const together = await Promise.all(texts.map(async (text) => (await vectorsOf([text]))[0]));
    const inOneCall = await vectorsOf(texts);
    for (const [index, vector] of together.entries()) {
      expect(greatestDifference(vector, inOneCall[index])).toBeLessThan(1e-5);
    }
  });

  test('counts the tokens that go into a vector', async () => {
    const { tokenCounts } = await model.embed([PASSWORD, 'whale '.repeat(1000)]);
    expect(tokenCounts).toEqual([8, 128]);
  });

  test('embeds text of unknown characters only', async () => {
    const { vectors } = await model.embed(['日本語', ' ']);
    expect(vectors.every((value) => Number.isFinite(value))).toBe(true);
  });

  test('refuses no text, an empty one, a value that is none and too many, saying which', async () => {
    await expect(model.embed([])).rejects.toMatchObject({
      name: 'ModelInputError',
      param: 'input',
    });
    await expect(model.embed(['a', ''])).rejects.toMatchObject({ param: 'input[1]' });
    const numbers = [7] as unknown as string[];
    await expect(model.embed(numbers)).rejects.toMatchObject({ param: 'input[0]' });
    await expect(model.embed(Array.from({ length: 2049 }, () => 'a'))).rejects.toThrow(
      /2049.*2048/,
    );
  });

  test('answers the Open Inference Protocol with the same vectors', async () => {
    const { vectors } = await model.embed([PASSWORD, 'whale']);
    const [output, ...others] = await model.infer([
      { name: 'text', datatype: 'BYTES', shape: [2], data: [PASSWORD, 'whale'] },
    ]);
    expect(others).toEqual([]);
    expect(output).toEqual({
      name: 'sentence_embedding',
      datatype: 'FP32',
      shape: [2, 512],
      data: vectors,
    });
  });

  test('computes outside of this event loop', async () => {
    const texts = Array.from({ length: 40 }, () => 'whale '.repeat(100));
    let turns = 0;
    let done = false;
    const count = (): void => {
      turns++;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    await model.embed(texts);
    done = true;
    // A session that ran here would let the loop turn a few times per batch of 5; so it turns all the time.
    expect(turns).toBeGreaterThan(500);
  });

  test('rejects an aborted call and serves the others', async () => {
    const abort = new AbortController();
    const aborted = model.embed(
      Array.from({ length: 200 }, () => 'whale'),
      abort.signal,
    );
    const other = model.embed([PASSWORD]);
    abort.abort(new Error('the caller left'));
    await expect(aborted).rejects.toThrow('the caller left');
    expect((await other).tokenCounts).toEqual([8]);
  });
});

test('a model file that is not there is a clear error', async () => {
  const load = OnnxEmbeddingModel.load({ ...USE_LITE, modelFile: '/nowhere/model.onnx' });
  await expect(load).rejects.toThrow(
    /engine of model use-lite could not start.*\/nowhere\/model.onnx/s,
  );
});

test('a closed model refuses work', async () => {
  const model = await OnnxEmbeddingModel.load(USE_LITE);
  await model[Symbol.asyncDispose]();
  await expect(model.embed(['whale'])).rejects.toMatchObject({ name: 'ModelEngineError' });
  await expect(model.checkHealth()).rejects.toMatchObject({ name: 'ModelEngineError' });
});

type Vector = Float32Array | undefined;

function cosine(a: Vector, b: Vector): number {
  return pairs(a, b).reduce((sum, [x, y]) => sum + x * y, 0);
}

function greatestDifference(a: Vector, b: Vector): number {
  return Math.max(...pairs(a, b).map(([x, y]) => Math.abs(x - y)));
}

function pairs(a: Vector, b: Vector): [number, number][] {
  if (a?.length !== 512 || b?.length !== 512) throw new Error('A vector is missing or short');
  return Array.from(a, (value, index) => [value, b[index] ?? NaN]);
}
