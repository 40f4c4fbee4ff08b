// For React: a session that lives as long as a component, and its newest snapshot.

import { useEffect, useState, useSyncExternalStore } from "react";

import { joinSession, type JoinSessionOptions, type Session, type Snapshot } from "./index.js";

/** The newest snapshot of a session that was joined elsewhere; the component is rendered again with each. */
export function useSnapshot(session: Session): Snapshot;
export function useSnapshot(session: Session | null): Snapshot | null;
export function useSnapshot(session: Session | null): Snapshot | null {
  const read = session ? session.getSnapshot : nothing;
  return useSyncExternalStore(session ? session.subscribe : ignore, read, read);
}

/**
 * Joins a session while the component is mounted, and once more if the code changes; null joins none. The options are
 * those of the first time. Both parts are null until the session is being joined.
 */
export function useSession(
  sessionID: string | null,
  options: JoinSessionOptions = {},
): { session: Session; snapshot: Snapshot } | { session: null; snapshot: null } {
  const [first] = useState(options);
  const [session, setSession] = useState<Session | null>(null);
  useEffect(() => {
    if (sessionID === null) return;
    const joined = joinSession(sessionID, first);
    setSession(joined);
    return () => {
      joined.close();
      setSession(null);
    };
  }, [sessionID, first]);
  const snapshot = useSnapshot(session);
  return session && snapshot ? { session, snapshot } : { session: null, snapshot: null };
}

const nothing = (): null => null;
const ignore = (): (() => void) => () => {};
