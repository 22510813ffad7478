// SPDX-License-Identifier: Apache-2.0

/** Why there is no stream, for people and for the counter. */
export interface Failure {
  kind: 'unreachable' | 'tls' | 'version' | 'refused'
  text: string
  /** The next attempt will fail in the same way until somebody changes something. */
  hopeless: boolean
}

/** What OpenSSL and Node say (grpc-js wraps it in sentences of its own) and what it means here. */
const TLS_TROUBLES: readonly (readonly [pattern: RegExp, text: string])[] = [
  [
    /certificate has expired|CERT_HAS_EXPIRED/,
    "FD_TLS_EXPIRED: the aggregator's certificate has expired; give it a new one",
  ],
  [
    /not yet valid|CERT_NOT_YET_VALID/,
    "FD_TLS_EXPIRED: the aggregator's certificate is not valid yet; compare the clocks",
  ],
  [
    /self.signed|unable to (verify|get)|UNABLE_TO_/,
    "FD_TLS_FOREIGN: the aggregator's certificate is not signed by the authority in tls.ca; is it the right aggregator?",
  ],
  [
    /altnames|ERR_TLS_CERT_ALTNAME_INVALID/,
    "FD_TLS_NAME: the aggregator's certificate is for another name than the one in `aggregator`",
  ],
  [
    /alert number 45|certificate expired/,
    'FD_TLS_REFUSED: the aggregator says that our certificate (tls.cert) has expired',
  ],
  [
    /alert number (42|43|44|46|48)|bad certificate|unknown ca|alert unknown/,
    'FD_TLS_REFUSED: the aggregator does not accept our certificate (tls.cert); its log says why',
  ],
  [
    /alert number 116|certificate required|alert number 40|handshake failure/,
    'FD_TLS_REFUSED: the aggregator wants a certificate of ours (tls.cert)',
  ],
  [/wrong version number|packet length too long/, 'FD_TLS_PLAIN: the aggregator does not speak TLS there'],
]

/** Closed before the first HTTP/2 frame came: a handshake that the other side broke off without a word looks so. */
const CLOSED_EARLY =
  /Last error: (Error: )?(Failed to connect|read ECONNRESET|socket hang up|Client network socket)/
const CLOSED = {
  tls: 'FD_TLS_REFUSED: the aggregator closes the connection in the TLS handshake; does it accept our certificate (tls.cert)? Its log says why',
  plaintext: 'FD_TLS_WANTED: the aggregator closes the connection; if it speaks TLS, configure tls',
}

/** A gRPC status or a connection's error as something to act on. `overTls`: whether we tried TLS. */
export function explainFailure(code: string, details: string, overTls: boolean): Failure {
  const own = /FD_[A-Z0-9_]+:.*/s.exec(details)?.[0]
  if (own !== undefined) {
    const version = /^FD_(PROTOCOL_VERSION|RECORD_SIZE)/.test(own)
    const kind = version ? 'version' : /^FD_(TLS|CERTIFICATE)/.test(own) ? 'tls' : 'refused'
    return { kind, text: own, hopeless: version }
  }
  const tls = TLS_TROUBLES.find(([pattern]) => pattern.test(details))
  if (tls) return { kind: 'tls', text: `${tls[1]} (${shorten(details)})`, hopeless: false }
  if (code === 'UNAVAILABLE' && CLOSED_EARLY.test(details)) {
    const text = `${CLOSED[overTls ? 'tls' : 'plaintext']} (${shorten(details)})`
    return { kind: 'tls', text, hopeless: false }
  }
  const kind = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'OK'].includes(code)
    ? 'unreachable'
    : 'refused'
  return { kind, text: `${code}: ${details}`, hopeless: false }
}

/** The part of grpc-js's sentence that is OpenSSL's. */
function shorten(details: string): string {
  return (/Last error: (?:Error: )?(.*?)(?:\. Resolution note.*)?$/s.exec(details)?.[1] ?? details)
    .trim()
    .slice(0, 200)
}
