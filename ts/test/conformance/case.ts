/** The cases as they stand in spec/vectors/conformance.json; spec/conformance.md says what they mean. */
/** What came of a call, as data. */
export interface Outcome {
  result?: unknown;
  items?: unknown;
  code?: string;
  executed?: string;
  data?: unknown;
}

/** A call to be made, as data: spec/conformance.md. */
export interface Call {
  method: string;
  arg?: unknown;
  args?: unknown[];
  named?: boolean;
  items?: unknown;
  take?: number;
  timeout?: number;
  cancel?: string;
  cut?: string;
  metadata?: Record<string, string>;
  key?: string;
  repeat?: boolean;
  priority?: number;
  times?: number;
  back?: boolean;
  want?: Outcome;
}

/** A step of a wire case: it sends a message, or waits for a frame. */
export interface Step {
  send_hex?: string;
  await?: { kind: string; id: number; times?: number };
}

/** What came of a wire case. */
export interface End {
  cut?: string;
  closed?: boolean;
  results?: number;
  items?: number;
  errors?: { id: number; code: string; executed: string }[];
  back?: Outcome;
  last?: boolean;
}

export interface Case {
  group: string;
  name: string;
  needs?: string;
  fault?: { up?: number; down?: number };
  calls?: Call[];
  together?: boolean;
  steps?: Step[];
  bare?: boolean;
  end?: End;
}

export interface CaseFile {
  hello_hex: string;
  cases: Case[];
}

/** What came of a case. */
export interface Verdict {
  group: string;
  name: string;
  /** It was played: the server has what the case needs. */
  offered: boolean;
  /** What was not as it should be. */
  why?: string;
}
