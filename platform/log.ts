import { type DestinationStream, pino } from 'pino'

export const logLevels = ['debug', 'info', 'warn', 'error', 'fatal'] as const
/** `fatal` is used by nothing: it keeps the log quiet. */
export type LogLevel = (typeof logLevels)[number]

type Fields = Readonly<Record<string, unknown>>

/** Structured log. Normal running logs nothing per event; no secrets, no personal data. */
export interface Log {
  debug(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
  child(fields: Fields): Log
}

/** JSON lines on stderr unless given another destination: stdout belongs to events. */
export function createLog(level: LogLevel, destination: DestinationStream = pino.destination(2)): Log {
  return wrap(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination))
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
}

function wrap(logger: pino.Logger): Log {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: fields => wrap(logger.child(fields)),
  }
}
