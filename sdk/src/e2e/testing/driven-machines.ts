import { fileURLToPath } from 'node:url';
import { addressWithToken } from '@manta/runtime/session/address';
import { ChildDriver } from './child-driver.ts';
import { MachineNetwork, type Machine } from './machines.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/machine-driver.mjs', import.meta.url));

/** A head and a driver on machines of their own, and machines that join them. */
export class DrivenMachines implements AsyncDisposable {
  readonly driver: ChildDriver;
  readonly #network: MachineNetwork;
  readonly #address: string;
  readonly #token: string;

  private constructor(
    network: MachineNetwork,
    driver: ChildDriver,
    address: string,
    token: string,
  ) {
    this.#network = network;
    this.driver = driver;
    this.#address = address;
    this.#token = token;
  }

  static async start(): Promise<DrivenMachines> {
    const network = await MachineNetwork.create();
    try {
      return await DrivenMachines.#startOn(network);
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  static async #startOn(network: MachineNetwork): Promise<DrivenMachines> {
    const head = await network.addMachine('head');
    const { address, tokenFile } = await head.manta<{ address: string; tokenFile: string }>(
      ...['start', '--head', '--host', '0.0.0.0', '--no-node'],
    );
    const token = (await head.readFile(tokenFile)).trim();
    const machine = await network.addMachine('driver');
    const driver = await startDriver(machine, addressWithToken(address, token));
    return new DrivenMachines(network, driver, address, token);
  }

  addMachine(name: string): Promise<Machine> {
    return this.#network.addMachine(name);
  }

  /** One more driver. */
  startDriver(machine: Machine): Promise<ChildDriver> {
    return startDriver(machine, addressWithToken(this.#address, this.#token));
  }

  /** A node on a machine of its own, with an actor of the same name in the driver's hands. */
  async join(name: string, actorOptions: object = {}): Promise<Machine> {
    const machine = await this.addMachine(name);
    const file = await machine.writeFile('token', this.#token);
    const ways = ['--address', this.#address, '--token-file', file];
    const { nodeId } = await machine.manta<{ nodeId: string }>('start', ...ways, '--cpus', '8');
    const options = { scheduling: { nodeId, soft: false }, ...actorOptions };
    await this.driver.ask('create', { key: name, options });
    return machine;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#network.close();
  }
}

function startDriver(machine: Machine, address: string): Promise<ChildDriver> {
  return ChildDriver.start(address, 'tests', {
    program: PROGRAM,
    spawnProgram: (program, args) => machine.spawn(program, args),
  });
}
