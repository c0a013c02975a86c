// Who is shopping: the customer that a token names, or somebody who only looks around.

export { callSigned, endIfRefused, ended, signIn, signOut, token, user as customer } from "../shared/session.ts";
