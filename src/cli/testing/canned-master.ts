/** A gRPC server on loopback with canned answers, for what the command line does with answers. */
import { type handleUnaryCall, Server, ServerCredentials, type status } from '@grpc/grpc-js';
import { refusalMetadata } from '#api/error-info.js';
import { definition, type Method } from '#api/method.js';
import { type RefusalReason, RefusedError } from '#api/refusal.js';

export class CannedMaster implements AsyncDisposable {
  readonly #server = new Server();
  /** What was asked, in order: the method's path and the request. */
  readonly asked: { readonly path: string; readonly request: unknown }[] = [];
  /** HOST:PORT, once it listens. */
  address = '';

  /** Answers this method with what `answer` gives, or refuses with what it throws: `Refused`. */
  on<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
    method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
    answer: (request: RequestDecoded) => Response,
  ): this {
    const { path } = method;
    const handle: handleUnaryCall<RequestDecoded, Response> = ({ request }, done) => {
      this.asked.push({ path, request });
      try {
        done(null, answer(request));
      } catch (error) {
        if (!(error instanceof CannedRefusal)) throw error;
        const { code, message, reason } = error;
        const metadata = reason && refusalMetadata(new RefusedError(reason, message));
        done({ code, details: message, ...(metadata && { metadata }) });
      }
    };
    this.#server.register(
      path,
      handle,
      definition(method).responseSerialize,
      (bytes) => method.request.decode(bytes),
      'unary',
    );
    return this;
  }

  /** @param at HOST:PORT, or unix:/PATH */
  async listen(at = '127.0.0.1:0'): Promise<this> {
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(at, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    this.address = at.startsWith('unix:') ? at : `127.0.0.1:${port}`;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }
}

export class CannedRefusal extends Error {
  readonly code: status;
  readonly reason: RefusalReason | undefined;

  constructor(code: status, message: string, reason?: RefusalReason) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}
