/** A headless Chromium, driven by the DevTools protocol: what is on a page, what is clicked, what its console says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from '#cluster-test/process/condition.js';

const boundMs = 20_000;
const closeMs = 5_000;

type Reply = { readonly resolve: (result: unknown) => void; readonly reject: (error: Error) => void };
type Message = {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
};

export type Screen = {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
  readonly touch?: boolean;
};

export class Browser implements AsyncDisposable {
  /** What scripts wrote to the console as an error, exceptions, and what the policy of the page refused. */
  readonly problems: string[] = [];
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #socket: WebSocket;
  readonly #replies = new Map<number, Reply>();
  #session = '';
  #ids = 0;

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.#child = child;
    process.once('exit', this.#kill);
    this.#folder = folder;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#heard(JSON.parse(String(data))));
  }

  /** It must not outlive this process, however that ends. */
  readonly #kill = (): void => {
    this.#child.kill('SIGKILL');
  };

  static async start(): Promise<Browser> {
    const folder = mkdtempSync(join(tmpdir(), 'sublet-browser-'));
    const flags = [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--remote-debugging-port=0'],
      // Containers have a small /dev/shm; and it is to ask the page's master alone.
      ...['--disable-dev-shm-usage', '--no-first-run', '--disable-extensions', '--disable-background-networking'],
    ];
    const child = spawn('chromium', [...flags, `--user-data-dir=${folder}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const address = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`chromium ended with ${code}`)));
      const lines = createInterface({ input: child.stderr });
      lines.on('line', (line) => {
        const [, found] = /^DevTools listening on (\S+)/.exec(line) ?? [];
        if (found !== undefined) resolve(found);
      });
    });
    const socket = new WebSocket(address);
    await once(socket, 'open');
    const browser = new Browser(child, folder, socket);
    const { targetId } = await browser.#send<{ targetId: string }>('Target.createTarget', { url: 'about:blank' }, '');
    const attached = await browser.#send<{ sessionId: string }>(
      'Target.attachToTarget',
      { targetId, flatten: true },
      '',
    );
    browser.#session = attached.sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.#send(`${domain}.enable`);
    return browser;
  }

  async screen({ width, height, dark = false, touch = false }: Screen): Promise<void> {
    await this.#send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: touch });
    await this.#send('Emulation.setTouchEmulationEnabled', { enabled: touch });
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
    await this.#send('Emulation.setEmulatedMedia', { features });
  }

  async headers(headers: Readonly<Record<string, string>>): Promise<void> {
    await this.#send('Network.setExtraHTTPHeaders', { headers });
  }

  /** Requests for these fail, `*` standing for anything; without any, none fails. */
  async block(...urls: readonly string[]): Promise<void> {
    await this.#send('Network.setBlockedURLs', { urls });
  }

  async open(url: string): Promise<void> {
    await this.#send('Page.navigate', { url });
  }

  /** The value of an expression on the page. @throws Error of the page */
  async value<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.#send<{
      result: { value: Value };
      exceptionDetails?: { text: string; exception?: { description?: string } };
    }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** Waits until the text of what `selector` finds first matches. */
  async shows(selector: string, pattern: RegExp): Promise<string> {
    let seen: string | null = null;
    try {
      return await until(`${selector} shows ${pattern}`, boundMs, async () => {
        seen = await this.value<string | null>(
          `document.querySelector(${JSON.stringify(selector)})?.innerText ?? null`,
        );
        return seen !== null && pattern.test(seen) ? seen : undefined;
      });
    } catch (error) {
      throw new Error(`${selector} shows ${JSON.stringify(seen)}; ${this.problems.join('; ')}`, { cause: error });
    }
  }

  /** Clicks in the middle of what `selector` finds first, or at a place in it. */
  async click(selector: string, at?: readonly [number, number]): Promise<void> {
    const [x, y] = await this.#place(selector, at);
    const button = { x, y, button: 'left', clickCount: 1 };
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
    await this.#send('Input.dispatchMouseEvent', { type: 'mousePressed', ...button });
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...button });
  }

  async hover(selector: string, at?: readonly [number, number]): Promise<void> {
    const [x, y] = await this.#place(selector, at);
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
  }

  async wheel(selector: string, deltaY: number, at?: readonly [number, number]): Promise<void> {
    const [x, y] = await this.#place(selector, at);
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseWheel', x, y, deltaX: 0, deltaY });
  }

  async type(text: string): Promise<void> {
    await this.#send('Input.insertText', { text });
  }

  /** `Enter`, `ArrowLeft`, `/` … */
  async press(key: string): Promise<void> {
    const codes: Readonly<Record<string, number>> = {
      Enter: 13,
      Escape: 27,
      ArrowLeft: 37,
      ArrowUp: 38,
      ArrowRight: 39,
      ArrowDown: 40,
    };
    const text = key === 'Enter' ? '\r' : key.length === 1 ? key : undefined;
    const windowsVirtualKeyCode = codes[key] ?? key.charCodeAt(0);
    await this.#send('Input.dispatchKeyEvent', { type: 'keyDown', key, windowsVirtualKeyCode, ...(text && { text }) });
    await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', key, windowsVirtualKeyCode });
  }

  /** A PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.#send<{ data: string }>('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#child, 'exit');
    const bound = setTimeout(this.#kill, closeMs);
    // It ends its own processes first; the answer may not come any more.
    void this.#send('Browser.close', {}, '');
    await exited;
    clearTimeout(bound);
    process.off('exit', this.#kill);
    this.#socket.close();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  async #place(selector: string, at: readonly [number, number] | undefined): Promise<readonly [number, number]> {
    const find = `(() => { const found = document.querySelector(${JSON.stringify(selector)});
      found?.scrollIntoView({ block: 'nearest' }); return found?.getBoundingClientRect().toJSON() ?? null; })()`;
    const box = await until(`there is ${selector}`, boundMs, async () => {
      const found = await this.value<{ x: number; y: number; width: number; height: number } | null>(find);
      return found !== null && found.width > 0 ? found : undefined;
    });
    const [x, y] = at ?? [box.width / 2, box.height / 2];
    return [box.x + x, box.y + y];
  }

  #send<Result>(method: string, params: object = {}, sessionId = this.#session): Promise<Result> {
    this.#ids += 1;
    const id = this.#ids;
    this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }));
    return new Promise<unknown>((resolve, reject) => {
      this.#replies.set(id, { resolve, reject });
    }) as Promise<Result>;
  }

  #heard({ id, method, params, result, error }: Message): void {
    if (id !== undefined) {
      const reply = this.#replies.get(id);
      this.#replies.delete(id);
      if (error === undefined) reply?.resolve(result);
      else reply?.reject(new Error(error.message));
      return;
    }
    const text = JSON.stringify(params);
    if (method === 'Runtime.exceptionThrown') this.problems.push(text);
    if (method === 'Runtime.consoleAPICalled' && /"type":"(error|assert)"/.test(text)) this.problems.push(text);
    if (method === 'Log.entryAdded' && /"level":"error"/.test(text)) this.problems.push(text);
  }
}
