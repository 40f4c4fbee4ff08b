// clients/js/src/react.ts
import { useEffect, useState, useSyncExternalStore } from "react";
import { joinSession } from "./index.js";
function useSnapshot(session) {
  const read = session ? session.getSnapshot : nothing;
  return useSyncExternalStore(session ? session.subscribe : ignore, read, read);
}
function useSession(sessionID, options = {}) {
  const [first] = useState(options);
  const [session, setSession] = useState(null);
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
var nothing = () => null;
var ignore = () => () => {
};
export {
  useSession,
  useSnapshot
};
