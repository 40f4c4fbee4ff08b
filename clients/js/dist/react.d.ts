import { type JoinSessionOptions, type Session, type Snapshot } from "./index.js";
/** The newest snapshot of a session that was joined elsewhere; the component is rendered again with each. */
export declare function useSnapshot(session: Session): Snapshot;
export declare function useSnapshot(session: Session | null): Snapshot | null;
/**
 * Joins a session while the component is mounted, and once more if the code changes; null joins none. The options are
 * those of the first time. Both parts are null until the session is being joined.
 */
export declare function useSession(sessionID: string | null, options?: JoinSessionOptions): {
    session: Session;
    snapshot: Snapshot;
} | {
    session: null;
    snapshot: null;
};
