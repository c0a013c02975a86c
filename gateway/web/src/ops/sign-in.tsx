import { ended, signOut, user } from "../shared/session.ts";
import { SignIn as Ways } from "../shared/sign-in.tsx";

const WORDS = {
  in: "Sign in as an operator",
  failed: (why: string) => `Signing in did not work (${why}). Try again.`,
  developers: "For developers: use a token",
  token: "Token",
  hint: "An operator's token. This browser keeps it and sends it to this shop only.",
  local: "On one machine, this prints one:",
  use: "Use this token",
  wrong: "That is not a token, or it has expired.",
};
const ENDED = {
  expired: "Your token has expired, so you have been signed out.",
  refused: "The edge refuses your token: it is wrong, has expired, or is from another issuer. You have been signed out.",
};

/** Says why the board is not shown, and asks for an operator. */
export function SignIn() {
  return (
    <>
      {ended.value && <p role="alert">{ENDED[ended.value]}</p>}
      {user.value ? (
        <>
          <p role="alert">
            You are signed in as {user.value}, who is not an operator: the token has no claim <code>operator</code>.
          </p>
          <p>
            <button type="button" onClick={() => signOut()}>
              Sign in as somebody else
            </button>
          </p>
        </>
      ) : (
        <>
          <p>The board is for operators of the shop.</p>
          <Ways messages={WORDS} language="en" backTo="/ops" command="make -s token CUSTOMER=op OPERATOR=yes" />
        </>
      )}
    </>
  );
}
