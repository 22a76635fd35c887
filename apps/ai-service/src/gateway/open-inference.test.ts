import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { serveGateway, type ServedGateway } from './testing/serve.ts';

let gateway: ServedGateway;
beforeAll(async () => {
  gateway = await serveGateway();
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  for (const model of gateway.registry.models) {
    model.failure = undefined;
    model.ready = true;
  }
});

interface InferAnswer {
  outputs: {
    name: string;
    datatype: string;
    shape: number[];
    data?: unknown;
    parameters?: object;
  }[];
}

const infer = (body: unknown, path = '/v2/models/echo/infer'): Promise<Response> =>
  gateway.post(path, body);

/** JSON, then the tensors, as the binary extension has it. */
function inferBinary(json: object, ...tensors: Uint8Array[]): Promise<Response> {
  const head = Buffer.from(JSON.stringify(json));
  return gateway.post('/v2/models/echo/infer', '', {
    body: Buffer.concat([head, ...tensors]),
    headers: { 'inference-header-content-length': String(head.length) },
  });
}

async function readBinary(answer: Response): Promise<{ json: InferAnswer; tensors: Buffer }> {
  expect(answer.headers.get('content-type')).toBe('application/octet-stream');
  const body = Buffer.from(await answer.arrayBuffer());
  const length = Number(answer.headers.get('inference-header-content-length'));
  const json = JSON.parse(body.subarray(0, length).toString()) as InferAnswer;
  return { json, tensors: body.subarray(length) };
}

describe('health and metadata', () => {
  const get = async (path: string): Promise<unknown> => (await gateway.fetch(path)).json();

  test('of the server', async () => {
    expect(await get('/v2')).toEqual({
      name: 'manta',
      version: '0.0.0-test',
      extensions: ['binary_tensor_data'],
    });
    expect(await get('/v2/health/live')).toMatchObject({ live: true });
    expect(await get('/v2/health/ready')).toMatchObject({ ready: true });
  });

  test('of a model, with and without version and prefix', async () => {
    const metadata = {
      name: 'echo',
      versions: ['3'],
      platform: 'fake',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'x_out', datatype: 'FP32', shape: [-1, 2] }],
    };
    for (const name of ['echo', 'echo/versions/3', 'local/echo', 'local%2Fecho/versions/3']) {
      expect(await get(`/v2/models/${name}`)).toEqual(metadata);
      expect(await get(`/v2/models/${name}/ready`)).toEqual({ name: 'echo', ready: true });
    }
    gateway.registry.find('echo')!.ready = false;
    expect((await gateway.fetch('/v2/models/echo/ready')).status).toBe(503);
  });

  test('of what does not exist', async () => {
    for (const path of [
      '/v2/models/nothing',
      '/v2/models/echo/versions/9',
      '/v2/models/nothing/ready',
    ]) {
      const answer = await gateway.fetch(path);
      expect(answer.status).toBe(404);
      expect(await answer.json()).toEqual({ error: expect.stringContaining('unknown') });
    }
  });
});

describe('inference in JSON', () => {
  test.each([
    ['FP32', [2], [0.5, -2]],
    ['FP64', [1], [1e300]],
    ['FP16', [3], [1, -0.5, 65504]],
    ['INT8', [2], [-128, 127]],
    ['UINT8', [1], [255]],
    ['INT64', [2], [-9007199254740991, 4]],
    ['UINT64', [1], [9007199254740991]],
    ['BOOL', [2], [true, false]],
    ['BYTES', [2], ['grüße', '']],
    ['FP32', [0], []],
  ])('takes and gives %s', async (datatype, shape, data) => {
    const answer = await infer({ id: 'one', inputs: [{ name: 'x', datatype, shape, data }] });
    expect(await answer.json()).toEqual({
      model_name: 'echo',
      model_version: '3',
      id: 'one',
      outputs: [{ name: 'x_out', datatype, shape, data }],
    });
    expect(answer.headers.get('x-manta-model')).toBe('local/echo');
  });

  test('takes nested data in row-major order', async () => {
    const input = {
      name: 'x',
      datatype: 'INT32',
      shape: [2, 2],
      data: [
        [1, 2],
        [3, 4],
      ],
    };
    const answer = (await (await infer({ inputs: [input] })).json()) as InferAnswer;
    expect(answer.outputs[0]?.data).toEqual([1, 2, 3, 4]);
  });

  test('gives the outputs that were asked for', async () => {
    const inputs = ['a', 'b'].map((name) => ({ name, datatype: 'INT8', shape: [1], data: [1] }));
    const answer = (await (
      await infer({ inputs, outputs: [{ name: 'b_out' }] })
    ).json()) as InferAnswer;
    expect(answer.outputs.map((output) => output.name)).toEqual(['b_out']);
  });

  const good = { name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] };
  test.each([
    ['no inputs', {}],
    ['empty inputs', { inputs: [] }],
    ['an unknown datatype', { inputs: [{ ...good, datatype: 'FP8' }] }],
    ['a negative size', { inputs: [{ ...good, shape: [-2] }] }],
    ['a wrong count', { inputs: [{ ...good, shape: [3] }] }],
    ['a huge shape', { inputs: [{ ...good, shape: [1e15, 1e15] }] }],
    ['a string among numbers', { inputs: [{ ...good, data: [1, '2'] }] }],
    ['an integer out of range', { inputs: [{ ...good, datatype: 'UINT8', data: [1, 256] }] }],
    ['a fraction for an integer', { inputs: [{ ...good, datatype: 'INT64', data: [1, 0.5] }] }],
    ['an output that is not there', { inputs: [good], outputs: [{ name: 'y' }] }],
    ['shared memory', { inputs: [{ ...good, parameters: { shared_memory_region: 'r' } }] }],
    [
      'binary data that is missing',
      { inputs: [{ ...good, data: undefined, parameters: { binary_data_size: 8 } }] },
    ],
  ])('refuses %s', async (_what, body) => {
    const answer = await infer(body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toEqual({ error: expect.any(String) });
  });
});

describe('inference in binary', () => {
  const floats = Buffer.from(Float32Array.from([0.1, Infinity, NaN]).buffer);
  const input = { name: 'x', datatype: 'FP32', shape: [3], parameters: { binary_data_size: 12 } };

  test('goes both ways, bit for bit', async () => {
    const answer = await inferBinary(
      { inputs: [input], parameters: { binary_data_output: true } },
      floats,
    );
    const { json, tensors } = await readBinary(answer);
    expect(json.outputs).toEqual([
      { name: 'x_out', datatype: 'FP32', shape: [3], parameters: { binary_data_size: 12 } },
    ]);
    expect(tensors.equals(floats)).toBe(true);
  });

  test('mixes with JSON on either side', async () => {
    const json = { name: 'j', datatype: 'INT16', shape: [1], data: [7] };
    const answer = await inferBinary(
      {
        inputs: [json, input],
        outputs: [{ name: 'x_out', parameters: { binary_data: true } }, { name: 'j_out' }],
      },
      floats,
    );
    const read = await readBinary(answer);
    expect(read.json.outputs[1]).toMatchObject({ name: 'j_out', data: [7] });
    expect(read.tensors).toHaveLength(12);
  });

  test('carries any elements of every datatype unchanged', async () => {
    const sizes = {
      FP16: 2,
      FP32: 4,
      FP64: 8,
      INT8: 1,
      UINT8: 1,
      INT16: 2,
      INT32: 4,
      UINT32: 4,
      INT64: 8,
      UINT64: 8,
    };
    const tensor = fc
      .record({ datatype: fc.constantFrom(...Object.keys(sizes)), count: fc.nat(20) })
      .chain(({ datatype, count }) => {
        const length = count * sizes[datatype as keyof typeof sizes];
        return fc.record({
          datatype: fc.constant(datatype),
          shape: fc.constant([count]),
          bytes: fc.uint8Array({ minLength: length, maxLength: length }),
        });
      });
    await fc.assert(
      fc.asyncProperty(fc.array(tensor, { minLength: 1, maxLength: 3 }), async (tensors) => {
        const inputs = tensors.map(({ datatype, shape, bytes }, index) => ({
          name: `x${index}`,
          datatype,
          shape,
          parameters: { binary_data_size: bytes.length },
        }));
        const bytes = tensors.map((each) => each.bytes);
        const answer = await inferBinary(
          { inputs, parameters: { binary_data_output: true } },
          ...bytes,
        );
        const read = await readBinary(answer);
        expect(read.tensors.equals(Buffer.concat(bytes))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test('carries BYTES as lengths and bytes', async () => {
    const bytes = Buffer.concat(
      ['grüße', ''].flatMap((text) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(Buffer.byteLength(text));
        return [length, Buffer.from(text)];
      }),
    );
    const texts = {
      name: 't',
      datatype: 'BYTES',
      shape: [2],
      parameters: { binary_data_size: bytes.length },
    };
    const asJson = (await (await inferBinary({ inputs: [texts] }, bytes)).json()) as InferAnswer;
    expect(asJson.outputs[0]?.data).toEqual(['grüße', '']);
    const asBinary = await inferBinary(
      { inputs: [texts], parameters: { binary_data_output: true } },
      bytes,
    );
    expect((await readBinary(asBinary)).tensors.equals(bytes)).toBe(true);
  });

  test('says so when JSON cannot carry the answer', async () => {
    const answer = await inferBinary({ inputs: [input] }, floats);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toEqual({ error: expect.stringContaining('binary_data') });
  });

  test.each([
    ['too few bytes', [floats.subarray(4)]],
    ['too many bytes', [floats, Buffer.from([1])]],
  ])('refuses %s', async (_what, tensors) => {
    expect((await inferBinary({ inputs: [input] }, ...tensors)).status).toBe(400);
  });

  test('refuses a size that is not the shape’s, cut BYTES, and a wrong header', async () => {
    const wrong = { ...input, shape: [2] };
    expect((await inferBinary({ inputs: [wrong] }, floats)).status).toBe(400);
    const cut = { ...input, datatype: 'BYTES', shape: [1] };
    expect((await inferBinary({ inputs: [cut] }, floats)).status).toBe(400);
    for (const header of ['-1', 'x', '99999']) {
      const answer = await gateway.post('/v2/models/echo/infer', '{}', {
        headers: { 'inference-header-content-length': header },
      });
      expect(answer.status).toBe(400);
    }
  });
});
