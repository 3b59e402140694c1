// The build takes style sheets in.
declare module '*.css';
