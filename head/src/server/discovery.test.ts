import { decodeControl, encodeControl } from '@manta/runtime/serialization/control-codec';
import { DiscoverReply } from '@manta/runtime/wire/messages';
import { DISCOVER_SUBJECT } from '@manta/runtime/wire/subjects';
import { expect, it } from 'vitest';
import { SimWorld } from '../sim/sim-world.ts';

it('says who it is to whoever asks', async () => {
  const world = await SimWorld.start({});
  const client = world.bus.connect({ name: 'stranger' });
  const request = client.request(DISCOVER_SUBJECT, encodeControl({}), { timeoutMs: 100 });
  expect(decodeControl(DiscoverReply, await world.run(request))).toMatchObject({
    clusterId: world.clusterId,
  });
});
