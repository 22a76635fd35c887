import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MODEL_CATALOG, type ModelDescriptor } from './catalog.ts';

function filesOf(descriptor: ModelDescriptor): string[] {
  if ('modelFolder' in descriptor) {
    return ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx'].map(
      (name) => join(descriptor.modelFolder, name),
    );
  }
  return 'vocabularyFile' in descriptor
    ? [descriptor.modelFile, descriptor.vocabularyFile]
    : [descriptor.modelFile];
}

test('has the three models under their own names', () => {
  expect([...MODEL_CATALOG.keys()]).toEqual(['use-lite', 'tiny-moby', 'text-orientation']);
});

test.each([...MODEL_CATALOG])('%s has all its files', (_name, descriptor) => {
  expect(filesOf(descriptor).filter((file) => !existsSync(file))).toEqual([]);
});
