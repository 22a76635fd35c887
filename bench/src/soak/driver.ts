/** A driver of the soak, in a process of its own: does what its parent's messages say, and answers them. */
import { init, shutdown } from '@manta/sdk';
import { currentSession } from '@manta/sdk/internal/session';
import type { DriverAnswer, DriverRequest } from './driver-process.ts';
import { Player } from './player.ts';

const [address = '', seed = '1'] = process.argv.slice(2);
const { nodeId } = await init({ address, logToDriver: false });
const player = new Player(Number(seed));
const nothing = (): void => undefined;
let nodeDied = nothing;

const answer = (message: DriverAnswer): void => void process.send?.(message);

async function perform(request: DriverRequest): Promise<unknown> {
  switch (request.command) {
    case 'play':
      player.play(request.strands);
      return undefined;
    case 'nodeDies':
      nodeDied = player.nodeDies(request.nodeId);
      return undefined;
    case 'nodeDied':
      nodeDied();
      // It holds the actors that were hit, and an actor lives as long as its last handle.
      nodeDied = nothing;
      return undefined;
    case 'rest':
      return player.rest(currentSession().core);
    case 'leave':
      for (const actor of player.actors) player.dropActor(actor);
      await shutdown();
      return undefined;
  }
}

process.on('message', (request: DriverRequest) => {
  perform(request).then(
    (value) => answer({ id: request.id, value }),
    (error: unknown) => answer({ id: request.id, error: String(error) }),
  );
});
// Whoever started it is gone.
process.once('disconnect', () => process.exit());
answer({ id: 0, value: nodeId });
