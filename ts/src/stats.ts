/** What one can see of a peer. Counts are since it began. */
export interface Stats {
  /** Calls made by this side, and by the other. */
  readonly out: Readonly<CallStats>;
  readonly in: Readonly<CallStats>;
  readonly sent: Readonly<Traffic>;
  readonly received: Readonly<Traffic>;
  /** Open now, both sides' calls. */
  readonly streams: number;
  /** Bytes that wait here: to be sent, or received and not read. */
  readonly waiting: number;
  /** Of the last ping, in milliseconds; 0 before the first. */
  readonly roundTrip: number;
  /** Connections made anew, see PeerOptions.redial. */
  readonly redials: number;
  /** Frames for calls that had ended, such as made no sense, such as cost time and brought nothing (spec, section 12). */
  readonly late: number;
  readonly strikes: number;
  readonly inVain: number;
}

/** Counts the calls of one side. */
export interface CallStats {
  /** Not settled; of those served, not answered or the handler still running. */
  open: number;
  started: number;
  succeeded: number;
  failed: number;
}

/** What crossed the connection. */
export interface Traffic {
  bytes: number;
  messages: number;
}
