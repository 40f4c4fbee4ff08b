/** 128 random bits. `crypto.randomUUID` is for secure contexts only, and a phone reaches a laptop by plain HTTP. */
export declare function randomID(): string;
